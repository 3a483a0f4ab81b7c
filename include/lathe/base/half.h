#pragma once

#include <cstdint>

/// IEEE 754 half precision (binary16) as bit patterns.
namespace lathe {

/// The largest finite half: 65504.
inline constexpr float kLargestHalf = 65504;

/// The nearest half, of two equally near ones the one with an even last bit. Numbers of 65520 and above
/// become infinite, below 2^-25 in magnitude zero; both keep their sign. NaN becomes a quiet NaN.
std::uint16_t float_to_half(float value);

/// Exact.
float half_to_float(std::uint16_t bits);

}  // namespace lathe
