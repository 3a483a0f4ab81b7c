#pragma once

#include "../packed.h"

/// Sums and products of two images of 8-bit codes, sixteen elements at a time, for a vector type V
/// (conv_tiles.h) with
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

/// Of equal shapes, or (broadcast) b [N,C] for the pixels of each image; the unit is then a pixel.
template <class V, bool kBroadcast>
void multiply_pair(const Call& call, Range units) noexcept {
  const auto& p = *static_cast<const PackedMultiply*>(call.params);
  const auto *a = static_cast<const std::int8_t*>(call.input),
             *b = static_cast<const std::int8_t*>(call.second);
  auto* out = static_cast<std::int8_t*>(call.output);
  const typename V::Finish finish({}, p.limits, p.rescale);
  const auto product = [&](const std::int8_t* x, const std::int8_t* y, std::int8_t* to, std::int32_t lanes) {
    const typename V::Sum one = from_codes<V>(p.codes[0], x, lanes);
    finish.store(V::times(one, from_codes<V>(p.codes[1], y, lanes)), to, V::mask(lanes));
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
