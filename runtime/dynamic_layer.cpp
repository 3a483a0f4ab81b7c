#include "dynamic_layer.h"

namespace lathe::runtime {

DynamicLanes make_dynamic_lanes(const Site& site, std::span<const std::int32_t> channel, Store& store) {
  const auto weight = constant<std::int8_t>(site, 1);
  const auto bias = site.size() > 2 ? constant<float>(site, 2) : std::span<const float>();
  const std::vector<float>& scale = site.input(1).quantization->scale;
  const std::size_t taps = weight.size() / static_cast<std::size_t>(site.input(1).shape[0]);
  const auto sums = store.array<std::int32_t>(channel.size());
  const auto factors = store.array<LaneFactors>(channel.size() / kLanes);
  for (std::size_t lane = 0; lane < channel.size(); ++lane) {
    if (channel[lane] < 0) continue;
    const auto c = static_cast<std::size_t>(channel[lane]);
    for (const std::int8_t w : weight.subspan(c * taps, taps)) sums[lane] += w;
    LaneFactors& group = factors[lane / kLanes];
    group.factor[lane % kLanes] = scale[scale.size() == 1 ? 0 : c];
    group.bias[lane % kLanes] = bias.empty() ? -0.f : bias[c];
  }
  return {static_cast<std::int32_t>(channel.size()), sums.data(), factors.data()};
}

}  // namespace lathe::runtime
