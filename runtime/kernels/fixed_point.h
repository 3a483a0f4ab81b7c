#pragma once

#include <cstdint>

/// The integer arithmetic of the runtime, exactly: that of gemmlowp's fixed-point reference as used by the
/// TFLite 8-bit quantization specification. Kernels of all levels give these bits.
///
/// A real factor M > 0 is multiplier * 2^(exponent - 31) with multiplier in [2^30, 2^31) (Jacob et al. 2018,
/// section 2.2).
namespace lathe::runtime {

/// Saturating rounding doubling high multiply: (a * b + 2^30) >> 31, halves towards plus infinity. b > -2^31.
inline std::int32_t multiply_high(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>((std::int64_t{a} * b + (std::int64_t{1} << 30)) >> 31);
}

/// x / 2^shift rounded to nearest, halves away from zero. 0 <= shift <= 31.
inline std::int32_t rounding_shift(std::int32_t x, int shift) {
  const std::int64_t half = shift > 0 ? std::int64_t{1} << (shift - 1) : 0;
  const std::int64_t away = shift > 0 && x < 0 ? 1 : 0;
  return static_cast<std::int32_t>((std::int64_t{x} + half - away) >> shift);
}

/// x * M, rounded in these two steps. A positive exponent shifts left first and saturates.
inline std::int32_t rescale(std::int32_t x, std::int32_t multiplier, std::int32_t exponent) {
  if (exponent > 0) {
    const std::int64_t wide = std::int64_t{x} * (std::int64_t{1} << exponent);
    const std::int64_t low = INT32_MIN, high = INT32_MAX;
    x = static_cast<std::int32_t>(wide < low ? low : wide > high ? high : wide);
    return multiply_high(x, multiplier);
  }
  return rounding_shift(multiply_high(x, multiplier), -exponent);
}

/// Nearest integer, halves away from zero (std::round without the call): |x| < 2^31.
inline std::int32_t round_half_away(float x) {
  const std::int32_t whole = static_cast<std::int32_t>(x);
  const float rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

/// `value` (NaN counts as -128) rounded and moved to the code range of int8. The limits are integers, so
/// clamping before rounding is the same as after.
inline std::int8_t to_code(float value, std::int32_t zero_point) {
  const float low = static_cast<float>(-128 - zero_point), high = static_cast<float>(127 - zero_point);
  value = value > low ? value : low;
  value = value < high ? value : high;
  return static_cast<std::int8_t>(round_half_away(value) + zero_point);
}

/// Integer quotient rounded to nearest, halves away from zero. count > 0.
inline std::int32_t rounded_quotient(std::int32_t sum, std::int32_t count) {
  return sum >= 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

}  // namespace lathe::runtime
