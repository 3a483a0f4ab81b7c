#include "prepare.h"

#include "kernels/wide_fixed_point.h"

#include <algorithm>
#include <cmath>
#include <limits>

/// Kernels of 16-bit activations, and those that quantize as they run.
namespace lathe::runtime {

namespace {

FixedFactor wide_factor(double factor) { return to_fixed(factor, kSmallestWideExponent); }

MultiplyI16 multiply_i16(const Site& site) {
  const FixedFactor factor =
      wide_factor(scale_of(site.input(0)) * scale_of(site.input(1)) / scale_of(site.result()));
  return {.broadcast = {}, .multiplier = factor.multiplier, .exponent = factor.exponent};
}

bool equal_shapes(const Site& site) { return site.input_shape(0) == site.input_shape(1); }

}  // namespace

void set_wide_limits(graph::Activation activation, const graph::Value& output, std::int32_t& low,
                     std::int32_t& high) {
  if (activation == graph::Activation::none) return;
  low = 0;
  if (activation != graph::Activation::relu6) return;
  high = static_cast<std::int32_t>(std::min(std::round(6 / scale_of(output)), 32767.));
}

Rescale wide_rescale_of(const Site& site, double factor, Store& store) {
  const FixedFactor fixed = wide_factor(factor / scale_of(site.result()));
  return {.multiplier = store.keep(fixed.multiplier),
          .exponent = store.keep(fixed.exponent),
          .low = -32768,
          .high = 32767};
}

Rescale wide_rescale_of(const Site& site, graph::Activation activation, Store& store) {
  const graph::Value& weight = site.input(1);
  const std::vector<float>& scale = weight.quantization->scale;
  const auto channels = static_cast<std::size_t>(weight.shape[0]);
  const auto multiplier = store.array<std::int32_t>(channels), exponent = store.array<std::int32_t>(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const double weight_scale = static_cast<double>(scale[scale.size() == 1 ? 0 : c]);
    const FixedFactor factor = wide_factor(scale_of(site.input(0)) * weight_scale / scale_of(site.result()));
    multiplier[c] = factor.multiplier;
    exponent[c] = factor.exponent;
  }
  Rescale result{.multiplier = multiplier.data(), .exponent = exponent.data(), .low = -32768, .high = 32767};
  set_wide_limits(activation, site.result(), result.low, result.high);
  return result;
}

bool prepare_conv_i16(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  ConvI16 params{.window = conv.window, .groups = conv.groups};
  params.weight = store.copy(constant<std::int8_t>(site, 1));
  params.bias = site.size() > 2 ? store.copy(constant<std::int64_t>(site, 2)) : nullptr;
  params.rescale = wide_rescale_of(site, conv.activation, store);
  prepared = {.params = store.keep(params), .units = std::int64_t{conv.window.batch} * conv.window.out_h};
  return true;
}

bool prepare_global_pool_i16(const Site& site, Store& store, Prepared& prepared) {
  const Shape& in = site.input_shape(0);
  GlobalAvgPoolI16 params{.pixels = narrow(in[1] * in[2]), .channels = narrow(in[3])};
  params.rescale = wide_rescale_of(site, scale_of(site.input(0)) / params.pixels, store);
  prepared = {.params = store.keep(params), .units = in[0]};
  return true;
}

// The inputs meet at twice the larger scale with 30 bits more.
bool prepare_add_i16(const Site& site, Store& store, Prepared& prepared) {
  const double common = 2 * std::max(scale_of(site.input(0)), scale_of(site.input(1)));
  AddI16 params;
  for (std::size_t i = 0; i < 2; ++i) {
    const FixedFactor factor = wide_factor(scale_of(site.input(i)) / common);
    params.multiplier[i] = factor.multiplier;
    params.exponent[i] = factor.exponent;
  }
  const FixedFactor out = wide_factor(common / (std::ldexp(1., 30) * scale_of(site.result())));
  params.out_multiplier = out.multiplier;
  params.out_exponent = out.exponent;
  set_wide_limits(std::get<graph::Add>(site.op).activation, site.result(), params.low, params.high);
  prepared = {.params = store.keep(params), .units = site.output_shape().size()};
  return true;
}

bool prepare_multiply_i16(const Site& site, Store& store, Prepared& prepared) {
  if (!equal_shapes(site)) return false;
  prepared = {.params = store.keep(multiply_i16(site)), .units = site.output_shape().size()};
  return true;
}

bool prepare_multiply_channels_i16(const Site& site, Store& store, Prepared& prepared) {
  if (equal_shapes(site)) return false;
  MultiplyI16 params = multiply_i16(site);
  const Shape& a = site.input_shape(0);
  params.broadcast = {.pixels = narrow(a[1] * a[2]), .channels = narrow(a[3])};
  prepared = {.params = store.keep(params), .units = a[0] * a[1] * a[2]};
  return true;
}

bool prepare_table_i16(const Site& site, Store& store, Prepared& prepared) {
  const graph::Activation activation = std::get<graph::Activate>(site.op).activation;
  const auto table = store.array<std::int16_t>(65536);
  for (int code = -32768; code < 32768; ++code)
    table[static_cast<std::size_t>(code + 32768)] =
        to_code16(activated(activation, scale_of(site.input(0)) * code) / scale_of(site.result()));
  prepared = {.params = store.keep(TableI16{table.data()}), .units = site.output_shape().size()};
  return true;
}

bool prepare_softmax_i16(const Site& site, Store& store, Prepared& prepared) {
  const Shape& shape = site.output_shape();
  const SoftmaxI16 params{.channels = narrow(shape[-1]),
                          .in_scale = scale_of(site.input(0)),
                          .out_inverse_scale = 1 / scale_of(site.result())};
  prepared = {.params = store.keep(params),
              .units = shape.size() / shape[-1],
              .scratch_bytes = shape[-1] * static_cast<std::int64_t>(sizeof(double))};
  return true;
}

bool prepare_conv_dynamic(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  ConvDynamic params{.window = conv.window, .groups = conv.groups};
  params.weight = store.copy(constant<std::int8_t>(site, 1));
  const std::vector<float>& scale = site.input(1).quantization->scale;
  const auto scales = store.array<float>(static_cast<std::size_t>(conv.window.out_c));
  for (std::size_t c = 0; c < scales.size(); ++c) scales[c] = scale[scale.size() == 1 ? 0 : c];
  params.scale = scales.data();
  params.bias = site.size() > 2 ? store.copy(constant<float>(site, 2)) : nullptr;
  params.clamp = clamp_of(conv.activation);
  prepared = {.params = store.keep(params),
              .units = conv.window.batch,
              .scratch_bytes = std::int64_t{conv.window.in_h} * conv.window.in_w * conv.window.in_c};
  return true;
}

}  // namespace lathe::runtime
