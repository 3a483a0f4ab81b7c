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

/// Cells of a depthwise convolution of codes that are in use together.
constexpr std::int64_t kStripBytes = 20 * 1024;

/// Everything of PackedDepthwise that does not depend on the dtype.
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
  p.line = std::max((w.out_w - 1) * w.stride_w + w.kernel_w, w.pad_left + w.in_w) * w.in_c;
  const std::int64_t common = std::lcm<std::int64_t>(w.in_c, kLanes);
  p.flat = w.stride_w == 1 && (common <= kMaxPeriod || common == w.in_c);
  p.period = static_cast<std::int32_t>(p.flat ? common : round_up(w.in_c, kLanes));
  return p;
}

bool depthwise(const ConvSite& conv) {
  return conv.groups > 1 && conv.groups == conv.window.in_c && conv.groups == conv.window.out_c;
}

/// weight [C,KH,KW] -> [KW][ceil(KH/step)][period][step]; rows that do not exist are 0.
template <typename To, typename From>
const To* pack_depthwise(const PackedDepthwise& p, std::span<const From> weight, std::int32_t step,
                         Store& store) {
  const std::int32_t groups = (p.kernel_h + step - 1) / step;
  const auto packed =
      store.array<To>(static_cast<std::size_t>(std::int64_t{p.kernel_w} * groups * p.period * step));
  auto to = packed.begin();
  for (std::int32_t kw = 0; kw < p.kernel_w; ++kw) {
    for (std::int32_t g = 0; g < groups; ++g) {
      for (std::int32_t lane = 0; lane < p.period; ++lane) {
        for (std::int32_t s = 0; s < step; ++s, ++to) {
          const std::int32_t kh = g * step + s;
          const std::int64_t channel = lane % p.channels;
          if (kh < p.kernel_h)
            *to = weight[static_cast<std::size_t>((channel * p.kernel_h + kh) * p.kernel_w + kw)];
        }
      }
    }
  }
  return packed.data();
}

std::int64_t units(const PackedDepthwise& p) { return std::int64_t{p.batch} * p.out_h; }

}  // namespace

bool prepare_packed_depthwise_f32(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (!depthwise(conv)) return false;
  PackedDepthwise p = depthwise_geometry(conv);
  p.clamp = clamp_of(conv.activation);
  p.weight = pack_depthwise<float>(p, constant<float>(site, 1), 1, store);
  const auto bias = store.array<float>(static_cast<std::size_t>(p.period));
  for (std::size_t lane = 0; lane < bias.size() && site.size() > 2; ++lane)
    bias[lane] = constant<float>(site, 2)[lane % static_cast<std::size_t>(p.channels)];
  p.bias = bias.data();
  prepared = {.params = store.keep(p), .units = units(p), .scratch_bytes = std::int64_t{p.in_row} * 4};
  return true;
}

namespace {

/// Weights and scratch bytes of codes.
std::int64_t pack_codes(PackedDepthwise& p, const Site& site, std::int32_t step, Store& store) {
  const auto weight = constant<std::int8_t>(site, 1);
  p.weight = step == 4 ? static_cast<const void*>(pack_depthwise<std::int8_t>(p, weight, step, store))
                       : pack_depthwise<std::int16_t>(p, weight, step, store);
  const std::int64_t groups = (p.kernel_h + step - 1) / step;
  const auto bytes = [&](std::int64_t rows) {
    return (((rows - 1) * p.stride_h + (groups - 1) * step) / p.line_rows + 1) * p.line * 4;
  };
  // Lines that several output rows use are made once, as many as stay in the first-level cache.
  p.line_rows = std::gcd(p.stride_h, step);
  while (p.strip < p.out_h && bytes(p.strip + 1) <= kStripBytes) ++p.strip;
  if (p.strip == 1) p.line_rows = step;
  return bytes(p.strip) + p.in_row * 2;  // and a row of padding codes
}

bool prepare_codes(const Site& site, Sums sums, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (!depthwise(conv)) return false;
  PackedDepthwise p = depthwise_geometry(conv);
  const std::int32_t step = sums == Sums::i8 ? site.blocking->step : 2;
  p.zero_point = zero_point_of(site.input(0));
  const IntegerLayer layer(site, conv.activation, sums, step == 4 ? 128 + p.zero_point : 0, store);
  if (!layer.fits()) return false;
  const LaneChannels lanes{.channels = p.channels, .lanes = p.period};
  p.bias = layer.bias(lanes, store);
  p.limits = layer.limits();
  p.rescale = layer.rescale(lanes, store);
  if (p.rescale == nullptr) return false;
  const std::int64_t scratch = pack_codes(p, site, step, store);
  prepared = {.params = store.keep(p), .units = units(p), .scratch_bytes = scratch};
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
  p.rescale = make_lane_rescale(sums, rescale, bound, kLanes, store);
  if (p.rescale == nullptr) return false;
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
  PackedDepthwise p = depthwise_geometry(conv);
  p.clamp = clamp_of(conv.activation);
  const std::int64_t scratch = pack_codes(p, site, site.blocking->step, store);
  std::vector<std::int32_t> channel;
  for (std::int32_t lane = 0; lane < p.period; ++lane) channel.push_back(lane % p.channels);
  prepared = keep_dynamic(site, p, channel, site.blocking->step == 2, 0, scratch, store);
  return true;
}
bool prepare_packed_global_pool_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_global_pool(site, Sums::i8, store, prepared);
}
bool prepare_packed_global_pool_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_global_pool(site, Sums::i16, store, prepared);
}

}  // namespace lathe::runtime
