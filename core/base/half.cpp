#include <lathe/base/half.h>

#include <bit>

namespace lathe {

std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t magnitude = bits & 0x7fffffff;
  constexpr std::uint32_t kInfinity = 0x7f800000;
  if (magnitude > kInfinity) return sign | 0x7e00;
  constexpr std::uint32_t kFirstNormal = 0x38800000;  // 2^-14
  std::uint32_t result = 0;
  if (magnitude >= kFirstNormal) {
    // Half the last bit that stays, less one when that bit is even, carries into it exactly when it should.
    const std::uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    result = (rounded >> 13) - ((127 - 15) << 10);
    if (result > 0x7c00) result = 0x7c00;
  } else {
    // In steps of 2^-24: the sum has no finer bits, and adding rounds to nearest even.
    constexpr float kMagic = 0.5f;
    const float sum = std::bit_cast<float>(magnitude) + kMagic;
    result = std::bit_cast<std::uint32_t>(sum) - std::bit_cast<std::uint32_t>(kMagic);
  }
  return static_cast<std::uint16_t>(sign | result);
}

float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000) << 16;
  const std::uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 0) {
    constexpr float kStep = 0x1p-24f;
    const float magnitude = static_cast<float>(fraction) * kStep;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 127 - 15;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

}  // namespace lathe
