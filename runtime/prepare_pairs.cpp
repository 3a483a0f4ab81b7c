#include "integer_layer.h"
#include "kernels/real_add.h"
#include "kernels/reference/reference.h"
#include "prepare.h"
#include "prepare_packed.h"
#include "real_rescale.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

namespace lathe::runtime {

namespace {

const std::int32_t* all_lanes(std::int32_t value, Store& store) {
  const auto lanes = store.array<std::int32_t>(kLanes);
  std::ranges::fill(lanes, value);
  return lanes.data();
}

PackedCodes codes_of(const graph::Value& value, std::int32_t factor, Store& store) {
  return {all_lanes(-zero_point_of(value), store), all_lanes(factor, store)};
}

/// One factor for all lanes; empty where the vector form is not exact.
std::span<LaneRescale> lanes_of(Sums sums, const FixedFactor& factor, std::int32_t zero_point,
                                std::int64_t bound, Store& store) {
  const Rescale rescale{
      .multiplier = &factor.multiplier, .exponent = &factor.exponent, .zero_point = zero_point};
  return make_lane_rescale(sums, rescale, std::span(&bound, 1), kLanes, store);
}
const LaneRescale* lane_rescale(const FixedFactor& factor, std::int32_t zero_point, std::int64_t bound,
                                Store& store) {
  const auto lanes = lanes_of(Sums::i8, factor, zero_point, bound, store);
  return lanes.empty() ? nullptr : lanes.data();
}

/// The form in floats for all lanes, where there is one.
void set_reals(const FixedRescale& fixed, LaneRescale& lanes, CodeLimits& limits) {
  const std::optional<RealRescale> real = find_real_rescale(fixed);
  if (!real) return;
  limits.rescaling = real->rescaling(fixed);
  for (std::size_t i = 0; i < kLanes; ++i) {
    lanes.factor[i] = real->factor;
    lanes.offset[i] = real->offset;
    lanes.below[i] = real->below;
    lanes.exception[i] = real->exception;
    lanes.delta[i] = real->delta;
  }
}

Rescale output_limits(const Site& site, graph::Activation activation) {
  Rescale rescale{.zero_point = zero_point_of(site.result())};
  set_code_limits(activation, site.result(), rescale.low, rescale.high);
  return rescale;
}

}  // namespace

// The same factors as prepare_add_i8.
bool prepare_packed_add_i8(const Site& site, Store& store, Prepared& prepared) {
  const double first = scale_of(site.input(0)), second = scale_of(site.input(1));
  const double common = 2 * std::max(first, second);
  PackedAdd p{.swapped = second > first};
  const graph::Value &coarse = site.input(p.swapped ? 1 : 0), &fine = site.input(p.swapped ? 0 : 1);
  const FixedFactor align = to_fixed(scale_of(fine) / common);
  const FixedFactor out = to_fixed(common / (std::ldexp(1., 20) * scale_of(site.result())));
  p.coarse = codes_of(coarse, 1 << 19, store);
  p.limits = code_limits(output_limits(site, std::get<graph::Add>(site.op).activation));
  p.rescale = lane_rescale(out, zero_point_of(site.result()), std::int64_t{1} << 29, store);
  if (align.exponent == 0 && align.multiplier == 1 << 30) {
    // As coarse as the other: a factor of a half, as twice a quarter, which is rescaled exactly.
    p.fine = codes_of(fine, 1 << 20, store);
    p.align = lane_rescale({.multiplier = 1 << 30, .exponent = -1}, 0, std::int64_t{1} << 29, store);
    p.fine.factor = all_lanes(1 << 21, store);
  } else {
    p.fine = codes_of(fine, 1 << 20, store);
    p.align = lane_rescale(align, 0, std::int64_t{1} << 29, store);
  }
  if (p.rescale == nullptr || p.align == nullptr) return false;
  prepared = {.params = store.keep(p), .units = site.output_shape().size()};
  return true;
}

bool prepare_real_add_i8(const Site& site, Store& store, Prepared& prepared) {
  constexpr std::size_t kCodes = 256;
  Store draft;
  Prepared fixed;
  prepare_add_i8(site, draft, fixed);
  const auto a = draft.array<std::int8_t>(kCodes * kCodes), b = draft.array<std::int8_t>(kCodes * kCodes),
             sums = draft.array<std::int8_t>(kCodes * kCodes);
  for (std::size_t i = 0; i < sums.size(); ++i) {
    a[i] = static_cast<std::int8_t>(static_cast<int>(i % kCodes) - 128);
    b[i] = static_cast<std::int8_t>(static_cast<int>(i / kCodes) - 128);
  }
  reference::add_i8({.params = fixed.params, .input = a.data(), .second = b.data(), .output = sums.data()},
                    {0, static_cast<std::int64_t>(sums.size())});
  const auto& limits = *static_cast<const AddI8*>(fixed.params);
  const double out = scale_of(site.result());
  const std::optional<RealAdd> real = find_real_add(
      scale_of(site.input(0)) / out, scale_of(site.input(1)) / out, sums, limits.low, limits.high);
  if (!real) return false;
  const RealAddI8 params{.first = real->first,
                         .second = real->second,
                         .offset = real->offset,
                         .low = limits.low,
                         .high = limits.high};
  prepared = {.params = store.keep(params), .units = site.output_shape().size()};
  return true;
}

// The same factors as prepare_add_i16; codes are taken 2^30 times as large there and here.
bool prepare_packed_add_i16(const Site& site, Store& store, Prepared& prepared) {
  const double common = 2 * std::max(scale_of(site.input(0)), scale_of(site.input(1)));
  PackedAddWide p;
  for (std::size_t i = 0; i < 2; ++i) {
    const FixedFactor factor = to_fixed(scale_of(site.input(i)) / common, kSmallestWideExponent);
    p.multiplier[i] = factor.multiplier;
    p.shift[i] =
        1 - factor.exponent;  // of code * 2^30 * multiplier, 31 - exponent; the factor is at most 1/2
  }
  const FixedFactor out =
      to_fixed(common / (std::ldexp(1., 30) * scale_of(site.result())), kSmallestWideExponent);
  const auto lanes = lanes_of(Sums::i16_wide, out, 0, std::int64_t{1} << 46, store);
  if (lanes.empty()) return false;
  p.rescale = lanes.data();
  p.limits = {.low = -32768, .high = 32767};
  set_wide_limits(std::get<graph::Add>(site.op).activation, site.result(), p.limits.low, p.limits.high);
  prepared = {.params = store.keep(p), .units = site.output_shape().size()};
  return true;
}

namespace {

bool prepare_multiply(const Site& site, bool wide, bool broadcast, Store& store, Prepared& prepared) {
  if (broadcast == (site.input_shape(0) == site.input_shape(1))) return false;
  const FixedFactor factor =
      to_fixed(scale_of(site.input(0)) * scale_of(site.input(1)) / scale_of(site.result()),
               wide ? kSmallestWideExponent : kSmallestExponent);
  PackedMultiply p;
  for (std::size_t i = 0; i < 2; ++i) p.start[i] = all_lanes(-zero_point_of(site.input(i)), store);
  // Codes less their zero point are at most 255; 16-bit ones 32768.
  const std::int64_t bound = std::int64_t{1} << (wide ? 30 : 16);
  const std::int32_t zero_point = zero_point_of(site.result());
  const auto lanes = lanes_of(wide ? Sums::i16 : Sums::i8, factor, zero_point, bound, store);
  if (lanes.empty()) return false;
  p.rescale = lanes.data();
  if (wide) {
    p.limits = {.low = -32768, .high = 32767};
  } else {
    p.limits = code_limits(output_limits(site, graph::Activation::none));
    if (site.blocking->real_rescaling && factor.multiplier != 0)
      set_reals({.multiplier = factor.multiplier,
                 .shift = -factor.exponent,
                 .zero_point = zero_point,
                 .low = p.limits.low,
                 .high = p.limits.high,
                 .bound = bound},
                lanes[0], p.limits);
  }
  prepared = {.params = store.keep(p), .units = site.output_shape().size()};
  if (broadcast) {
    const Shape& a = site.input_shape(0);
    p.pixels = narrow(a[1] * a[2]);
    p.channels = narrow(a[3]);
    prepared = {.params = store.keep(p), .units = a[0] * a[1] * a[2]};
  }
  return true;
}

}  // namespace

bool prepare_packed_multiply_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_multiply(site, false, false, store, prepared);
}
bool prepare_packed_multiply_channels_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_multiply(site, false, true, store, prepared);
}
bool prepare_packed_multiply_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_multiply(site, true, false, store, prepared);
}
bool prepare_packed_multiply_channels_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_multiply(site, true, true, store, prepared);
}

}  // namespace lathe::runtime
