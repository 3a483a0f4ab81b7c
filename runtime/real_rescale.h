#pragma once

#include "kernels/packed.h"

#include <cstdint>
#include <optional>
#include <span>

namespace lathe::runtime {

struct FixedRescale;

/// Rescaling of 32-bit accumulators to 8-bit codes in single precision: code = nearest(fma(a, factor, a < 0 ?
/// below : offset)), ties to even, saturated; and `delta` more for the one accumulator `exception`.
struct RealRescale {
  float factor = 0, offset = 0, below = 0;
  std::int32_t exception = 0, delta = 0;  ///< delta 0: no exception

  /// How kernels have to take it: where no code lies below the zero point, `below` does not matter.
  Rescaling rescaling(const FixedRescale& fixed) const;
};

/// What it is to be equal to (fixed_point.h), for shifts e >= 1.
struct FixedRescale {
  std::int32_t multiplier = 0;  ///< in [2^30, 2^31)
  std::int32_t shift = 1;       ///< e
  std::int32_t zero_point = 0;
  std::int32_t low = -128, high = 127;
  std::int64_t bound = 0;  ///< no accumulator is larger
};

/// Factor and offsets that give the codes of the fixed-point rescaling for every accumulator, with at most
/// one exception; none if none are found. Two offsets, because halves are rounded the other way below the
/// zero point. On either side of accumulator 0 both functions rise with the accumulator (conversion to float,
/// fma and rounding do), so it is enough to compare them at the two sides of each of the steps between codes,
/// which are at known accumulators.
std::optional<RealRescale> find_real_rescale(const FixedRescale& fixed);

/// Sum of two 8-bit codes in single precision: code = nearest(fma(a, first, fma(b, second, offset))), ties to
/// even, saturated.
struct RealAdd {
  float first = 0, second = 0, offset = 0;
};

/// Factors near the given ones, and an offset, that give codes[(b + 128) * 256 + a + 128], which are
/// saturated to the limits, for all pairs of codes; none if none are found. All pairs are tried.
std::optional<RealAdd> find_real_add(double first, double second, std::span<const std::int8_t> codes,
                                     std::int32_t low, std::int32_t high);

}  // namespace lathe::runtime
