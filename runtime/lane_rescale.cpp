#include "prepare_packed.h"

#include <cstdlib>

namespace lathe::runtime {

namespace {

/// Right shifts for which offset and product stay within 64 bits.
constexpr std::int32_t kMinShift = 1, kMaxShift = 23;

struct ChannelFactor {
  std::int32_t multiplier = 0;
  std::int32_t shift = kMinShift;
  bool exact = true;
};

ChannelFactor factor_of(const Rescale& rescale, std::int64_t bound, std::size_t channel) {
  const std::int32_t multiplier = rescale.multiplier[channel], shift = -rescale.exponent[channel];
  if (multiplier == 0) return {};
  // Too small to move the output from the zero point: |a * M| < 2^21 / 2^24.
  if (shift > kMaxShift && bound < std::int64_t{1} << 21) return {};
  return {multiplier, shift, shift >= kMinShift && shift <= kMaxShift};
}

}  // namespace

const LaneRescale* make_lane_rescale(const Rescale& rescale, std::span<const std::int64_t> bound,
                                     std::size_t lanes, Store& store) {
  const auto groups = static_cast<std::size_t>(round_up(static_cast<std::int64_t>(lanes), kLanes) / kLanes);
  const std::span<LaneRescale> result = store.array<LaneRescale>(groups);
  for (std::size_t lane = 0; lane < groups * kLanes; ++lane) {
    const std::size_t channel = lane % bound.size();
    const ChannelFactor factor = factor_of(rescale, bound[channel], channel);
    if (!factor.exact) return nullptr;
    LaneRescale& group = result[lane / kLanes];
    const std::size_t i = lane % kLanes;
    group.multiplier[i] = factor.multiplier;
    group.shift[i] = factor.shift - 1;
    const std::int64_t half = (std::int64_t{1} << 30) + (std::int64_t{1} << (30 + factor.shift));
    const std::int64_t offset = half + rescale.zero_point * (std::int64_t{1} << (31 + factor.shift));
    (i % 2 == 0 ? group.even_offset : group.odd_offset)[i / 2] = offset;
  }
  return result.data();
}

CodeLimits code_limits(const Rescale& rescale) {
  return {.low = rescale.low, .high = rescale.high, .negative = rescale.low < rescale.zero_point};
}

ChannelSums channel_sums(std::span<const std::int8_t> weight, std::span<const std::int32_t> bias,
                         std::int64_t channels) {
  ChannelSums result;
  const std::size_t taps = weight.size() / static_cast<std::size_t>(channels);
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    std::int32_t sum = 0;
    std::int64_t magnitude = 0;
    for (const std::int8_t w : weight.subspan(c * taps, taps)) {
      sum += w;
      magnitude += std::abs(w);
    }
    result.weight.push_back(sum);
    result.bound.push_back(magnitude * 255 + (bias.empty() ? 0 : std::abs(std::int64_t{bias[c]})));
  }
  return result;
}

std::int32_t corrected_bias(std::int32_t bias, std::int32_t offset, std::int32_t weight_sum) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(bias) -
                                   static_cast<std::uint32_t>(offset) *
                                       static_cast<std::uint32_t>(weight_sum));
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace lathe::runtime
