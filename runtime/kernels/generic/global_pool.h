#pragma once

#include "../packed.h"

namespace lathe::runtime {
namespace {

/// Mean of the pixels, sixteen channels at a time; V as for convolutions.
template <class V>
void global_avg_pool_f32(const Call& call, Range samples) noexcept {
  const Window2d& window = static_cast<const Pool*>(call.params)->window;
  const std::int64_t pixels = std::int64_t{window.in_h} * window.in_w, channels = window.in_c;
  const float zeros[kLanes] = {}, one = 1.f, inverse = 1.f / static_cast<float>(pixels);
  const float infinity = __builtin_inff();
  const typename V::Finish finish({-infinity, infinity}, {}, nullptr);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    for (std::int64_t c = 0; c < channels; c += kLanes) {
      const float* x = static_cast<const float*>(call.input) + n * pixels * channels + c;
      typename V::Sum even = V::start(zeros), odd = even, mean = even;  // two chains of additions
      std::int64_t i = 0;
      for (; i + 2 <= pixels; i += 2, x += 2 * channels) {
        V::add(even, V::broadcast(&one), V::load_x(x));
        V::add(odd, V::broadcast(&one), V::load_x(x + channels));
      }
      if (i < pixels) V::add(even, V::broadcast(&one), V::load_x(x));
      V::add(mean, V::broadcast(&inverse), even);
      V::add(mean, V::broadcast(&inverse), odd);
      const std::int64_t lanes = channels - c < kLanes ? channels - c : kLanes;
      finish.store(mean, static_cast<float*>(call.output) + n * channels + c,
                   V::mask(static_cast<std::int32_t>(lanes)));
    }
  }
}

/// Integer mean of the pixels, sixteen channels at a time; V as for convolutions, with add_codes.
template <class V>
void global_avg_pool_codes(const Call& call, Range samples) noexcept {
  const auto& p = *static_cast<const PackedGlobalPool*>(call.params);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const auto* image = static_cast<const typename V::In*>(call.input) + n * p.pixels * p.channels;
    auto* out = static_cast<typename V::Out*>(call.output) + n * p.channels;
    const typename V::Finish finish({}, p.limits, p.rescale);
    for (std::int32_t c = 0; c < p.channels; c += kLanes) {
      const std::int32_t lanes = p.channels - c < kLanes ? p.channels - c : kLanes;
      typename V::Sum sum = V::start(p.start);
      for (std::int32_t i = 0; i < p.pixels; ++i)
        V::add_codes(sum, image + std::int64_t{i} * p.channels + c, lanes);
      finish.store(sum, out + c, V::mask(lanes));
    }
  }
}

}  // namespace
}  // namespace lathe::runtime
