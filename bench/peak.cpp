#include "peak.h"

#include <lathe/base/cpu.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bench {
namespace {

/// The best of some runs of `work`, which does `amount` at a time, per second.
template <typename Work>
double rate(double amount, const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  for (int run = 0; run < 25; ++run) {
    const auto begin = Clock::now();
    work();
    best = std::max(best, amount / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best * 1e-9;
}

constexpr int kRounds = 100'000;
/// Sums that do not wait for each other: more than the latency of an instruction times those a cycle.
constexpr int kSums = 12;

#if defined(__x86_64__)

__attribute__((target("avx512f"))) void multiply_avx512() {
  __m512 sums[kSums];
  for (auto& sum : sums) sum = _mm512_set1_ps(1);
  const __m512 factor = _mm512_set1_ps(1e-9f);
  for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 16
    for (auto& sum : sums) {
      sum = _mm512_fmadd_ps(factor, factor, sum);
      asm volatile("" : "+v"(sum));
    }
}

__attribute__((target("avx2,fma"))) void multiply_avx2() {
  __m256 sums[kSums];
  for (auto& sum : sums) sum = _mm256_set1_ps(1);
  const __m256 factor = _mm256_set1_ps(1e-9f);
  for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 16
    for (auto& sum : sums) {
      sum = _mm256_fmadd_ps(factor, factor, sum);
      asm volatile("" : "+x"(sum));
    }
}

template <bool kBytes>
__attribute__((target("avx512f,avx512vnni"))) void dot_avx512() {
  __m512i sums[kSums];
  for (auto& sum : sums) sum = _mm512_set1_epi32(1);
  const __m512i factor = _mm512_set1_epi32(0x01010101);
  for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 16
    for (auto& sum : sums) {
      if constexpr (kBytes)
        asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(factor));
      else
        asm volatile("vpdpwssd %1, %1, %0" : "+v"(sum) : "v"(factor));
    }
}

/// Pairs of 16-bit products and their addition; 8-bit kernels widen to it.
__attribute__((target("avx2"))) void dot_avx2() {
  __m256i sums[kSums];
  for (auto& sum : sums) sum = _mm256_set1_epi32(1);
  __m256i factor = _mm256_set1_epi32(0x00010001);
  for (int round = 0; round < kRounds; ++round)
#pragma GCC unroll 16
    for (auto& sum : sums) {
      asm volatile("" : "+x"(factor));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(factor, factor));
      asm volatile("" : "+x"(sum));
    }
}

#endif

/// `lanes` multiply-adds an instruction.
double operations(int lanes) { return 2.0 * lanes * kSums * kRounds; }

double measure_f32() {
#if defined(__x86_64__)
  if (lathe::has_avx512()) return rate(operations(16), multiply_avx512);
  if (lathe::has_avx2()) return rate(operations(8), multiply_avx2);
#endif
  float sums[kSums] = {};
  return rate(operations(1), [&] {
    for (int round = 0; round < kRounds; ++round)
      for (float& sum : sums) {
        sum = sum * 0.5f + 1;
        asm volatile("" : "+m"(sum));
      }
  });
}

double measure_dots(bool bytes) {
#if defined(__x86_64__)
  if (lathe::has_avx512())
    return bytes ? rate(operations(64), dot_avx512<true>) : rate(operations(32), dot_avx512<false>);
  if (lathe::has_avx2()) return rate(operations(16), dot_avx2);
#endif
  (void)bytes;
  return 0;
}

double measure_read() {
  const std::vector<std::int64_t> words(8 << 20, 1);
  std::int64_t sum = 0;
  return rate(static_cast<double>(words.size() * sizeof words[0]), [&] {
    sum = std::accumulate(words.begin(), words.end(), sum);
    asm volatile("" : "+m"(sum));
  });
}

}  // namespace

double peak_f32() {
  static const double peak = measure_f32();
  return peak;
}
double peak_i8() {
  static const double peak = measure_dots(true);
  return peak;
}
double peak_i16() {
  static const double peak = measure_dots(false);
  return peak;
}
double peak_read() {
  static const double peak = measure_read();
  return peak;
}

void print_peaks() {
  benchmark::AddCustomContext(
      "peak of one core",
      fmt::format("f32 {:.0f} GFLOP/s, i8 {:.0f} GOP/s, i16 {:.0f} GOP/s, read {:.1f} GB/s", peak_f32(),
                  peak_i8(), peak_i16(), peak_read()));
}

}  // namespace bench
