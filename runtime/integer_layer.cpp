#include "integer_layer.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace lathe::runtime {

namespace {

struct ChannelFactor {
  std::int32_t multiplier = 0;
  std::int32_t shift = 1;  ///< e of LaneRescale
  bool exact = true;
};

/// e for which offset and product stay within 64 bits.
struct Shifts {
  std::int32_t smallest, largest;
};

Shifts shifts_of(Sums sums) {
  switch (sums) {
    case Sums::i8:
      return {1, 23};
    case Sums::i16:
      return {1, 31};
    case Sums::i16_wide:
      return {2, 62};
  }
  return {};
}

ChannelFactor factor_of(Sums sums, const Rescale& rescale, std::int64_t bound, std::size_t channel) {
  const std::int32_t multiplier = rescale.multiplier[channel], shift = -rescale.exponent[channel];
  const Shifts shifts = shifts_of(sums);
  if (multiplier == 0) return {.shift = shifts.smallest};
  // Too small to move the output from the zero point: |a * M| < 2^21 / 2^24, or 2^31 / 2^32.
  const int bits = sums == Sums::i8 ? 21 : 31;
  if (shift > shifts.largest && bound < std::int64_t{1} << bits) return {.shift = shifts.smallest};
  const bool held = sums != Sums::i16_wide || bound < std::int64_t{1} << 47;
  return {multiplier, shift, held && shift >= shifts.smallest && shift <= shifts.largest};
}

/// What rounds, and the zero point.
std::int64_t offset_of(Sums sums, std::int32_t shift, std::int32_t zero_point) {
  if (sums == Sums::i16_wide) return 0;  // the kernel makes it from the shift
  const std::int64_t half = std::int64_t{1} << (30 + shift);
  if (sums == Sums::i16) return half;
  return (std::int64_t{1} << 30) + half + zero_point * (std::int64_t{1} << (31 + shift));
}

}  // namespace

std::span<LaneRescale> make_lane_rescale(Sums sums, const Rescale& rescale,
                                         std::span<const std::int64_t> bound, std::size_t lanes, Store& store,
                                         const LaneOrder& order) {
  const std::size_t groups = (lanes + kLanes - 1) / kLanes;
  const std::span<LaneRescale> result = store.array<LaneRescale>(groups);
  for (std::size_t lane = 0; lane < groups * kLanes; ++lane) {
    const std::size_t channel =
        static_cast<std::size_t>(order(static_cast<std::int64_t>(lane))) % bound.size();
    const ChannelFactor factor = factor_of(sums, rescale, bound[channel], channel);
    if (!factor.exact) return {};
    LaneRescale& group = result[lane / kLanes];
    const std::size_t i = lane % kLanes;
    group.multiplier[i] = factor.multiplier;
    if (i % 2 == 1) group.odd_multiplier[i - 1] = factor.multiplier;
    group.shift[i] = factor.shift - 1;
    (i % 2 == 0 ? group.even_offset : group.odd_offset)[i / 2] =
        offset_of(sums, factor.shift, rescale.zero_point);
  }
  return result;
}

CodeLimits code_limits(const Rescale& rescale) {
  return {.low = rescale.low,
          .high = rescale.high,
          .rescaling = rescale.low < rescale.zero_point ? Rescaling::negative : Rescaling::fixed};
}

IntegerLayer::IntegerLayer(const Site& site, graph::Activation activation, Sums sums, std::int32_t offset,
                           Store& store)
    : sums_(sums),
      weight_(constant<std::int8_t>(site, 1)),
      rescale_(sums == Sums::i8 ? rescale_of(site, activation, store)
                                : wide_rescale_of(site, activation, store)) {
  const auto channels = static_cast<std::size_t>(site.input(1).shape[0]);
  bias_.resize(channels);
  if (site.size() > 2) {
    if (sums == Sums::i8) {
      std::ranges::copy(constant<std::int32_t>(site, 2), bias_.begin());
    } else {
      std::ranges::copy(constant<std::int64_t>(site, 2), bias_.begin());
    }
  }
  const std::int64_t largest_code = sums == Sums::i8 ? 255 : 32768;
  const std::size_t taps = weight_.size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    std::int64_t sum = 0, magnitude = 0;
    for (const std::int8_t w : weight_.subspan(c * taps, taps)) {
      sum += w;
      magnitude += std::abs(w);
    }
    bound_.push_back(magnitude * largest_code + std::abs(bias_[c]));
    bias_[c] -= offset * sum;
  }
  limits_ = code_limits(rescale_);
  if (sums == Sums::i8 && site.blocking->real_rescaling) find_reals();
}

void IntegerLayer::find_reals() {
  Rescaling rescaling = Rescaling::real;
  for (std::size_t c = 0; c < bound_.size(); ++c) {
    const ChannelFactor factor = factor_of(sums_, rescale_, bound_[c], c);
    if (!factor.exact || factor.multiplier == 0) return reals_.clear();
    const FixedRescale fixed{.multiplier = factor.multiplier,
                             .shift = factor.shift,
                             .zero_point = rescale_.zero_point,
                             .low = rescale_.low,
                             .high = rescale_.high,
                             .bound = bound_[c]};
    const std::optional<RealRescale> real = find_real_rescale(fixed);
    if (!real) return reals_.clear();
    rescaling = std::min(rescaling, real->rescaling(fixed));
    reals_.push_back(*real);
  }
  limits_.rescaling = rescaling;
}

bool IntegerLayer::fits() const {
  return sums_ != Sums::i16 || std::ranges::max(bound_) <= std::numeric_limits<std::int32_t>::max();
}

const void* IntegerLayer::bias(const LaneChannels& lanes, Store& store) const {
  const auto fill = [&](auto result) {
    for (std::size_t i = 0; i < result.size(); ++i) {
      const std::int64_t channel = lanes.first + lanes.order(static_cast<std::int64_t>(i)) % lanes.channels;
      result[i] = static_cast<typename decltype(result)::value_type>(
          bias_[static_cast<std::size_t>(channel)]);  // i8: modulo 2^32
    }
    return static_cast<const void*>(result.data());
  };
  const auto count = static_cast<std::size_t>(lanes.lanes);
  return sums_ == Sums::i16_wide ? fill(store.array<std::int64_t>(count))
                                 : fill(store.array<std::int32_t>(count));
}

const LaneRescale* IntegerLayer::rescale(const LaneChannels& lanes, Store& store) const {
  Rescale own = rescale_;
  own.multiplier += lanes.first;
  own.exponent += lanes.first;
  const auto bound = std::span(bound_).subspan(static_cast<std::size_t>(lanes.first),
                                               static_cast<std::size_t>(lanes.channels));
  const std::span<LaneRescale> result =
      make_lane_rescale(sums_, own, bound, static_cast<std::size_t>(lanes.lanes), store, lanes.order);
  if (result.empty()) return nullptr;
  for (std::int64_t lane = 0; lane < lanes.lanes && !reals_.empty(); ++lane) {
    LaneRescale& group = result[static_cast<std::size_t>(lane / kLanes)];
    const auto i = static_cast<std::size_t>(lane % kLanes);
    const RealRescale& real =
        reals_[static_cast<std::size_t>(lanes.first + lanes.order(lane) % lanes.channels)];
    group.factor[i] = real.factor;
    group.offset[i] = real.offset;
    group.below[i] = real.below;
    group.exception[i] = real.exception;
    group.delta[i] = real.delta;
  }
  return result.data();
}

}  // namespace lathe::runtime
