#include "dynamic_layer.h"
#include "integer_layer.h"
#include "prepare.h"
#include "prepare_packed.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

namespace lathe::runtime {

namespace {

/// Lanes beyond which repeating the weights would cost more cache than idle lanes cost time.
constexpr std::int64_t kMaxPeriod = 1024;
/// Lanes up to which weights of codes stay in the first-level cache beside the rows.
constexpr std::int64_t kMaxFlatLanes = 256;

/// Staged rows of a depthwise convolution of codes that are in use together: of flat rows in the first-level
/// cache, of others, which are read again for each chunk of the channels, in the second.
constexpr std::int64_t kFlatStripBytes = 20 * 1024, kStripBytes = 160 * 1024;

PackedDepthwise depthwise_geometry(const ConvSite& conv) {
  const Window2d& w = conv.window;
  PackedDepthwise p{.batch = w.batch,
                    .in_h = w.in_h,
                    .in_row = w.in_w * w.in_c,
                    .out_h = w.out_h,
                    .out_row = w.out_w * w.out_c,
                    .kernel_h = w.kernel_h,
                    .kernel_w = w.kernel_w,
                    .stride_h = w.stride_h,
                    .stride_w = w.stride_w,
                    .pad_top = w.pad_top,
                    .pad_left = w.pad_left,
                    .channels = w.in_c,
                    .out_w = w.out_w};
  const auto inside = [&](std::int32_t column) {
    const std::int32_t left = column * w.stride_w - w.pad_left;
    return left >= 0 && left + w.kernel_w <= w.in_w;
  };
  while (p.inner_begin < w.out_w && !inside(p.inner_begin)) ++p.inner_begin;
  p.inner_end = p.inner_begin;
  while (p.inner_end < w.out_w && inside(p.inner_end)) ++p.inner_end;
  const std::int64_t common = std::lcm<std::int64_t>(w.in_c, kLanes);
  p.flat = w.stride_w == 1 && (common <= kMaxPeriod || common == w.in_c);
  p.period = static_cast<std::int32_t>(p.flat ? common : round_up(w.in_c, kLanes));
  return p;
}

bool depthwise(const ConvSite& conv) {
  return conv.groups > 1 && conv.groups == conv.window.in_c && conv.groups == conv.window.out_c;
}

/// weight [C,KH,KW] -> [KW][KH][period]
const float* pack_depthwise(const PackedDepthwise& p, std::span<const float> weight, Store& store) {
  const auto packed = store.array<float>(static_cast<std::size_t>(p.kernel_w * p.kernel_h * p.period));
  auto to = packed.begin();
  for (std::int32_t kw = 0; kw < p.kernel_w; ++kw) {
    for (std::int32_t kh = 0; kh < p.kernel_h; ++kh) {
      for (std::int32_t lane = 0; lane < p.period; ++lane, ++to)
        *to = weight[static_cast<std::size_t>((lane % p.channels * p.kernel_h + kh) * p.kernel_w + kw)];
    }
  }
  return packed.data();
}

}  // namespace

bool prepare_packed_depthwise_f32(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (!depthwise(conv)) return false;
  PackedDepthwise p = depthwise_geometry(conv);
  p.clamp = clamp_of(conv.activation);
  p.weight = pack_depthwise(p, constant<float>(site, 1), store);
  const auto bias = store.array<float>(static_cast<std::size_t>(p.period));
  for (std::size_t lane = 0; lane < bias.size() && site.size() > 2; ++lane)
    bias[lane] = constant<float>(site, 2)[lane % static_cast<std::size_t>(p.channels)];
  p.bias = bias.data();
  prepared = {.params = store.keep(p),
              .units = std::int64_t{p.batch} * p.out_h,
              .scratch_bytes = std::int64_t{p.in_row} * 4};
  return true;
}

namespace {

/// A depthwise convolution of codes for the blocking of a level.
class DepthwiseCodes {
 public:
  DepthwiseCodes(const ConvSite& conv, const Site& site, Sums sums)
      : step_(sums == Sums::i8 ? site.blocking->step : 2),
        order_{sums == Sums::i8 ? site.blocking->chunk_i8 : site.blocking->chunk_i16, site.blocking->parts} {
    const Window2d& w = conv.window;
    p.batch = w.batch, p.in_h = w.in_h, p.in_w = w.in_w, p.channels = w.in_c;
    p.out_h = w.out_h, p.out_w = w.out_w;
    p.kernel_h = w.kernel_h, p.kernel_w = w.kernel_w, p.stride_h = w.stride_h, p.stride_w = w.stride_w;
    p.pad_top = w.pad_top, p.pad_left = w.pad_left;
    p.together = w.stride_h == 1 && w.out_h > 1 ? 2 : 1;
    p.groups = (w.kernel_h + p.together - 1 + step_ - 1) / step_;
    // A flat row has no idle lanes but at its end, but goes through all weights.
    const std::int64_t row = std::int64_t{w.out_w} * w.in_c, padded = round_up(w.in_c, order_.chunk);
    const std::int64_t period =
        std::min(std::lcm<std::int64_t>(w.in_c, order_.chunk), round_up(row, order_.chunk));
    const bool idle = 8 * padded > 9 * w.in_c;
    p.flat = period <= (idle ? kMaxPeriod : std::min(padded, kMaxFlatLanes));
    p.chunks = narrow((p.flat ? period : padded) / order_.chunk);
    const std::int32_t columns = w.out_w - 1 + (w.kernel_w + w.stride_w - 1) / w.stride_w;
    p.plane = columns * w.in_c;
    p.row = narrow(round_up(std::int64_t{p.plane} * w.stride_w, order_.chunk)) + narrow(order_.chunk);
    while (p.strip < p.out_h && staged_bytes(p.strip + 1) <= (p.flat ? kFlatStripBytes : kStripBytes))
      ++p.strip;
    if (p.together == 2 && p.strip > 1 && p.strip < p.out_h) p.strip -= p.strip % 2;
  }

  LaneChannels lanes() const {
    return {.channels = p.channels, .lanes = p.chunks * order_.chunk, .order = order_};
  }
  void pack(const Site& site, Store& store) {
    const auto weight = constant<std::int8_t>(site, 1);
    p.weight = step_ == 4 ? static_cast<const void*>(packed<std::int8_t>(weight, store))
                          : packed<std::int16_t>(weight, store);
    const auto taps = store.array<std::int32_t>(static_cast<std::size_t>(p.kernel_w));
    for (std::int32_t kw = 0; kw < p.kernel_w; ++kw)
      taps[static_cast<std::size_t>(kw)] = kw % p.stride_w * p.plane + kw / p.stride_w * p.channels;
    p.tap = taps.data();
    const auto planes = store.array<DepthwisePlane>(static_cast<std::size_t>(p.stride_w));
    for (std::int32_t i = 0; i < p.stride_w; ++i) planes[static_cast<std::size_t>(i)] = plane(i);
    p.planes = planes.data();
  }
  std::int64_t scratch_bytes() const { return staged_bytes(p.strip) + 128; }

  PackedDepthwiseCodes p;

 private:
  std::int64_t staged_bytes(std::int64_t rows) const {
    const std::int64_t last = std::max((rows - 1) * p.stride_h + p.kernel_h,
                                       (rows - 1) / p.together * p.together * p.stride_h + p.groups * step_);
    return (last + p.stride_h) * p.row * (step_ == 4 ? 1 : 2);
  }

  /// Columns index - pad_left + i * stride_w of a row.
  DepthwisePlane plane(std::int32_t index) const {
    const std::int32_t columns = p.plane / p.channels, offset = index - p.pad_left;
    const auto from = [&](std::int32_t least) {  // the first i whose column is `least` or more
      return std::clamp(least > offset ? (least - offset + p.stride_w - 1) / p.stride_w : 0, 0, columns);
    };
    const std::int32_t first = from(0), end = from(p.in_w);
    return {.from = (first * p.stride_w + offset) * p.channels,
            .columns = end - first,
            .before = first * p.channels,
            .after = (columns - end) * p.channels};
  }

  /// weight [C,KH,KW] -> [chunks][groups][KW][together][chunk][step]; rows that do not exist are 0.
  template <typename To>
  const To* packed(std::span<const std::int8_t> weight, Store& store) const {
    const std::int64_t lanes = p.chunks * order_.chunk;
    const auto result =
        store.array<To>(static_cast<std::size_t>(lanes * p.groups * p.kernel_w * p.together * step_));
    auto to = result.begin();
    const auto block = [&](std::int64_t first, std::int32_t top, std::int32_t kw) {
      for (std::int64_t lane = first; lane < first + order_.chunk; ++lane) {
        const std::int64_t channel = order_(lane) % p.channels;
        for (std::int32_t kh = top; kh < top + step_; ++kh, ++to)
          if (kh >= 0 && kh < p.kernel_h)
            *to = weight[static_cast<std::size_t>((channel * p.kernel_h + kh) * p.kernel_w + kw)];
      }
    };
    for (std::int64_t first = 0; first < lanes; first += order_.chunk)
      for (std::int32_t g = 0; g < p.groups; ++g)
        for (std::int32_t kw = 0; kw < p.kernel_w; ++kw)
          for (std::int32_t r = 0; r < p.together; ++r) block(first, g * step_ - r, kw);
    return result.data();
  }

  std::int32_t step_;
  LaneOrder order_;
};

bool prepare_codes(const Site& site, Sums sums, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (!depthwise(conv)) return false;
  DepthwiseCodes codes(conv, site, sums);
  PackedDepthwiseCodes& p = codes.p;
  p.zero_point = zero_point_of(site.input(0));
  const bool bytes = sums == Sums::i8 && site.blocking->step == 4;
  const IntegerLayer layer(site, conv.activation, sums, bytes ? 128 + p.zero_point : 0, store);
  if (!layer.fits()) return false;
  p.bias = layer.bias(codes.lanes(), store);
  p.limits = layer.limits();
  p.rescale = layer.rescale(codes.lanes(), store);
  if (p.rescale == nullptr) return false;
  codes.pack(site, store);
  prepared = {.params = store.keep(p),
              .units = std::int64_t{p.batch} * p.out_h,
              .scratch_bytes = codes.scratch_bytes()};
  return true;
}

bool prepare_global_pool(const Site& site, Sums sums, Store& store, Prepared& prepared) {
  const Shape& in = site.input_shape(0);
  PackedGlobalPool p{.pixels = narrow(in[1] * in[2]), .channels = narrow(in[3])};
  const auto start = store.array<std::int32_t>(kLanes);
  std::ranges::fill(start, -p.pixels * zero_point_of(site.input(0)));
  p.start = start.data();
  const Rescale rescale = sums == Sums::i8 ? global_pool_rescale(site, p.pixels, store)
                                           : wide_rescale_of(site, scale_of(site.input(0)) / p.pixels, store);
  const std::int64_t bound[] = {std::int64_t{p.pixels} * (sums == Sums::i8 ? 255 : 32768)};
  if (bound[0] > std::numeric_limits<std::int32_t>::max()) return false;
  const std::span<LaneRescale> lanes = make_lane_rescale(sums, rescale, bound, kLanes, store);
  if (lanes.empty()) return false;
  p.rescale = lanes.data();
  p.limits = code_limits(rescale);
  prepared = {.params = store.keep(p), .units = in[0]};
  return true;
}

}  // namespace

bool prepare_packed_depthwise_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_codes(site, Sums::i8, store, prepared);
}
bool prepare_packed_depthwise_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_codes(site, Sums::i16, store, prepared);
}
bool prepare_packed_depthwise_dynamic(const Site& site, Store& store, Prepared& prepared) {
  ConvSite conv = conv_site(site);
  if (!depthwise(conv)) return false;
  conv.window.batch = 1;
  DepthwiseCodes codes(conv, site, Sums::i8);
  codes.p.clamp = clamp_of(conv.activation);
  codes.pack(site, store);
  const LaneChannels lanes = codes.lanes();
  std::vector<std::int32_t> channel;
  for (std::int64_t lane = 0; lane < lanes.lanes; ++lane)
    channel.push_back(static_cast<std::int32_t>(lanes.order(lane)) % lanes.channels);
  prepared = keep_dynamic(site, codes.p, channel, site.blocking->step == 2, 0, codes.scratch_bytes(), store);
  return true;
}
bool prepare_packed_global_pool_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_global_pool(site, Sums::i8, store, prepared);
}
bool prepare_packed_global_pool_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_global_pool(site, Sums::i16, store, prepared);
}

}  // namespace lathe::runtime
