#pragma once

#include "../packed.h"

namespace lathe::runtime {
namespace {

/// Integer mean of the pixels, sixteen channels at a time; V as for convolutions, with add_codes.
template <class V>
void global_avg_pool_i8(const Call& call, Range samples) noexcept {
  const auto& p = *static_cast<const PackedGlobalPool*>(call.params);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const auto* image = static_cast<const std::int8_t*>(call.input) + n * p.pixels * p.channels;
    auto* out = static_cast<std::int8_t*>(call.output) + n * p.channels;
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
