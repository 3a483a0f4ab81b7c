#pragma once

/// What one core of this processor can do, measured when it is first asked for (some 50 ms each): what the
/// share of the peak in benchmarks refers to.
namespace bench {

/// Multiply-adds in registers, two operations each, in 10^9 operations a second.
double peak_f32();
/// The same of 8-bit and 16-bit numbers with 32-bit sums; 0 where no instruction for them is known.
double peak_i8();
double peak_i16();
/// Reading an array of 64 MiB, in 10^9 bytes a second.
double peak_read();

/// Puts all of them into the head of the benchmarks' output.
void print_peaks();

}  // namespace bench
