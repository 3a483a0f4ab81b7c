#pragma once

#include <cstdint>

/// The integer arithmetic of 16-bit activations: 64-bit accumulators, rescaled exactly and rounded once.
/// A real factor M > 0 is multiplier * 2^(exponent - 31) with multiplier in [2^30, 2^31), as for 8 bits.
namespace lathe::runtime {

/// x * M to the nearest integer, halves away from zero, saturated to +-2^62. |x| <= 2^62, -62 <= exponent <=
/// 31.
inline std::int64_t rescale_wide(std::int64_t x, std::int32_t multiplier, std::int32_t exponent) {
  __extension__ using Wide = __int128;
  const int shift = 31 - exponent;
  const Wide half = shift > 0 ? Wide{1} << (shift - 1) : 0;
  const Wide magnitude = x < 0 ? -Wide{x} : Wide{x};
  const Wide rounded = (magnitude * multiplier + half) >> shift;
  constexpr std::int64_t kLargest = std::int64_t{1} << 62;
  const std::int64_t result = rounded < kLargest ? static_cast<std::int64_t>(rounded) : kLargest;
  return x < 0 ? -result : result;
}

/// `value` (NaN counts as -32768) to the nearest i16, halves away from zero.
inline std::int16_t to_code16(double value) {
  value = value > -32768 ? value : -32768;
  value = value < 32767 ? value : 32767;
  return static_cast<std::int16_t>(static_cast<std::int32_t>(value + (value < 0 ? -0.5 : 0.5)));
}

}  // namespace lathe::runtime
