#pragma once

#include "../packed.h"
#include "wide.h"

/// Sums and products of two images of codes, sixteen elements at a time, for a vector type V (conv_tiles.h)
/// with
///   add_codes       sum += codes
///   times, plus     of two sums
///   rescaled        packed.h, LaneRescale, without going to codes
namespace lathe::runtime {
namespace {

/// (code - zero point) * factor
template <class V>
typename V::Sum from_codes(const PackedCodes& p, const std::int8_t* x, std::int32_t lanes) {
  typename V::Sum sum = V::start(p.start);
  V::add_codes(sum, x, lanes);
  return V::times(sum, V::start(p.factor));
}

/// Calls body(first element, how many up to sixteen).
template <typename Body>
__attribute__((always_inline)) inline void for_each_sixteen(std::int64_t begin, std::int64_t end,
                                                            Body&& body) {
  for (; begin < end; begin += kLanes)
    body(begin, static_cast<std::int32_t>(end - begin < kLanes ? end - begin : kLanes));
}

template <class V>
void add_pair(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const PackedAdd*>(call.params);
  const auto *a = static_cast<const std::int8_t*>(call.input),
             *b = static_cast<const std::int8_t*>(call.second);
  const std::int8_t *coarse = p.swapped ? b : a, *fine = p.swapped ? a : b;
  auto* out = static_cast<std::int8_t*>(call.output);
  const typename V::Finish finish({}, p.limits, p.rescale);
  for_each_sixteen(elements.begin, elements.end, [&](std::int64_t i, std::int32_t lanes) {
    const typename V::Sum aligned = V::rescaled(from_codes<V>(p.fine, fine + i, lanes), *p.align);
    finish.store(V::plus(from_codes<V>(p.coarse, coarse + i, lanes), aligned), out + i, V::mask(lanes));
  });
}

/// Sum of two images of 16-bit codes: each times its multiplier, moved right by at least a bit and rounded
/// with halves away from zero; what that gives has less than 47 bits, which Wide (wide.h) rescales.
template <class V>
void add_wide(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const PackedAddWide*>(call.params);
  const auto *a = static_cast<const std::int16_t*>(call.input),
             *b = static_cast<const std::int16_t*>(call.second);
  auto* out = static_cast<std::int16_t*>(call.output);
  const typename Wide<V>::Finish finish({}, p.limits, p.rescale);
  const auto aligned = [](std::int64_t code, std::int64_t multiplier, std::int64_t half, int shift) {
    const std::int64_t product = code * multiplier;
    return (product + half - (product < 0 ? 1 : 0)) >> shift;
  };
  const std::int64_t multiplier_a = p.multiplier[0], multiplier_b = p.multiplier[1];
  const int shift_a = p.shift[0], shift_b = p.shift[1];
  const std::int64_t half_a = std::int64_t{1} << (shift_a - 1), half_b = std::int64_t{1} << (shift_b - 1);
  for_each_sixteen(elements.begin, elements.end, [&](std::int64_t i, std::int32_t lanes) {
    typename Wide<V>::Sum sum;
    for (int k = 0; k < kLanes; ++k)  // buffers may be read beyond the end
      sum.whole[k] =
          aligned(a[i + k], multiplier_a, half_a, shift_a) + aligned(b[i + k], multiplier_b, half_b, shift_b);
    finish.store(sum, out + i, V::mask(lanes));
  });
}

/// Of equal shapes, or (broadcast) b [N,C] for the pixels of each image; the unit is then a pixel.
template <class V, bool kBroadcast>
void multiply_pair(const Call& call, Range units) noexcept {
  const auto& p = *static_cast<const PackedMultiply*>(call.params);
  using Code = typename V::In;
  const auto *a = static_cast<const Code*>(call.input), *b = static_cast<const Code*>(call.second);
  auto* out = static_cast<Code*>(call.output);
  const typename V::Finish finish({}, p.limits, p.rescale);
  const auto product = [&](const Code* x, const Code* y, Code* to, std::int32_t lanes) {
    typename V::Sum first = V::start(p.start[0]), other = V::start(p.start[1]);
    V::add_codes(first, x, lanes);
    V::add_codes(other, y, lanes);
    finish.store(V::times(first, other), to, V::mask(lanes));
  };
  if constexpr (!kBroadcast) {
    for_each_sixteen(units.begin, units.end,
                     [&](std::int64_t i, std::int32_t lanes) { product(a + i, b + i, out + i, lanes); });
  } else {
    for (std::int64_t pixel = units.begin; pixel < units.end; ++pixel) {
      const std::int64_t first = pixel * p.channels, of = pixel / p.pixels * p.channels;
      for_each_sixteen(0, p.channels, [&](std::int64_t c, std::int32_t lanes) {
        product(a + first + c, b + of + c, out + first + c, lanes);
      });
    }
  }
}

}  // namespace
}  // namespace lathe::runtime
