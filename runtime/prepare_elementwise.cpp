#include "prepare.h"

#include "kernels/fixed_point.h"

#include <algorithm>
#include <cmath>

namespace lathe::runtime {

namespace {

/// The last extent, and the number of pixels: the product of the others.
struct Rows {
  std::int64_t count = 0;
  std::int32_t channels = 0;
};

Rows rows_of(const Shape& shape) {
  const std::int32_t channels = narrow(shape[-1]);
  return {channels == 0 ? 0 : shape.size() / channels, channels};
}

MultiplyChannels channels_of(const Site& site) {
  const Shape& a = site.input_shape(0);
  return {.pixels = narrow(a[1] * a[2]), .channels = narrow(a[3])};
}

MultiplyI8 multiply_i8(const Site& site) {
  const FixedFactor factor =
      to_fixed(scale_of(site.input(0)) * scale_of(site.input(1)) / scale_of(site.result()));
  return {.broadcast = {},
          .zero_point = {zero_point_of(site.input(0)), zero_point_of(site.input(1))},
          .multiplier = factor.multiplier,
          .exponent = factor.exponent,
          .out_zero_point = zero_point_of(site.result())};
}

Quantization8 quantization_of(const graph::Value& value) {
  const float scale = value.quantization->scale[0];
  return {.scale = scale, .inverse_scale = 1.f / scale, .zero_point = value.quantization->zero_point};
}

bool equal_shapes(const Site& site) { return site.input_shape(0) == site.input_shape(1); }

}  // namespace

bool prepare_clamp(const Site& site, Store& store, Prepared& prepared) {
  const graph::Activation activation = std::get<graph::Activate>(site.op).activation;
  if (activation == graph::Activation::sigmoid || activation == graph::Activation::silu) return false;
  prepared = {.params = store.keep(Elements{clamp_of(activation)}), .units = site.output_shape().size()};
  return true;
}

template <graph::Activation kActivation>
bool prepare_activation(const Site& site, Store&, Prepared& prepared) {
  if (std::get<graph::Activate>(site.op).activation != kActivation) return false;
  prepared = {.units = site.output_shape().size()};
  return true;
}
template bool prepare_activation<graph::Activation::sigmoid>(const Site&, Store&, Prepared&);
template bool prepare_activation<graph::Activation::silu>(const Site&, Store&, Prepared&);

bool prepare_table_i8(const Site& site, Store& store, Prepared& prepared) {
  const graph::Activation activation = std::get<graph::Activate>(site.op).activation;
  const auto table = store.array<std::int8_t>(256);
  const graph::Value &in = site.input(0), &out = site.result();
  for (int code = -128; code < 128; ++code) {
    const double real = activated(activation, scale_of(in) * (code - zero_point_of(in)));
    const double value = std::round(real / scale_of(out)) + zero_point_of(out);
    table[static_cast<std::size_t>(code + 128)] = static_cast<std::int8_t>(std::clamp(value, -128., 127.));
  }
  prepared = {.params = store.keep(TableI8{table.data()}), .units = site.output_shape().size()};
  return true;
}

bool prepare_add_f32(const Site& site, Store& store, Prepared& prepared) {
  const Clamp clamp = clamp_of(std::get<graph::Add>(site.op).activation);
  prepared = {.params = store.keep(Elements{clamp}), .units = site.output_shape().size()};
  return true;
}

// The inputs meet at twice the larger scale with 20 bits more: neither the shifted codes nor their sum leave
// 32 bits.
bool prepare_add_i8(const Site& site, Store& store, Prepared& prepared) {
  const double common = 2 * std::max(scale_of(site.input(0)), scale_of(site.input(1)));
  AddI8 params;
  for (std::size_t i = 0; i < 2; ++i) {
    const FixedFactor factor = to_fixed(scale_of(site.input(i)) / common);
    params.zero_point[i] = zero_point_of(site.input(i));
    params.multiplier[i] = factor.multiplier;
    params.exponent[i] = factor.exponent;
  }
  const FixedFactor out = to_fixed(common / (std::ldexp(1., 20) * scale_of(site.result())));
  params.out_multiplier = out.multiplier;
  params.out_exponent = out.exponent;
  params.out_zero_point = zero_point_of(site.result());
  set_code_limits(std::get<graph::Add>(site.op).activation, site.result(), params.low, params.high);
  prepared = {.params = store.keep(params), .units = site.output_shape().size()};
  return true;
}

bool prepare_multiply_f32(const Site& site, Store&, Prepared& prepared) {
  if (!equal_shapes(site)) return false;
  prepared = {.units = site.output_shape().size()};
  return true;
}

bool prepare_multiply_i8(const Site& site, Store& store, Prepared& prepared) {
  if (!equal_shapes(site)) return false;
  prepared = {.params = store.keep(multiply_i8(site)), .units = site.output_shape().size()};
  return true;
}

bool prepare_multiply_channels_f32(const Site& site, Store& store, Prepared& prepared) {
  if (equal_shapes(site)) return false;
  prepared = {.params = store.keep(channels_of(site)), .units = rows_of(site.output_shape()).count};
  return true;
}

bool prepare_multiply_channels_i8(const Site& site, Store& store, Prepared& prepared) {
  if (equal_shapes(site)) return false;
  MultiplyI8 params = multiply_i8(site);
  params.broadcast = channels_of(site);
  prepared = {.params = store.keep(params), .units = rows_of(site.output_shape()).count};
  return true;
}

bool prepare_batch_norm(const Site& site, Store& store, Prepared& prepared) {
  const auto& op = std::get<graph::BatchNorm>(site.op);
  const Rows rows = rows_of(site.output_shape());
  const auto gamma = constant<float>(site, 1), beta = constant<float>(site, 2);
  const auto mean = constant<float>(site, 3), variance = constant<float>(site, 4);
  const auto scale = store.array<float>(gamma.size()), shift = store.array<float>(gamma.size());
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    const double deviation = std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(op.epsilon));
    const double factor = static_cast<double>(gamma[c]) / deviation;
    scale[c] = static_cast<float>(factor);
    shift[c] = static_cast<float>(static_cast<double>(beta[c]) - static_cast<double>(mean[c]) * factor);
  }
  const ScaleShift params{.channels = rows.channels,
                          .scale = scale.data(),
                          .shift = shift.data(),
                          .clamp = clamp_of(op.activation)};
  prepared = {.params = store.keep(params), .units = rows.count};
  return true;
}

bool prepare_softmax(const Site& site, Store& store, Prepared& prepared) {
  const Rows rows = rows_of(site.output_shape());
  Softmax params{.channels = rows.channels};
  if (site.result().dtype == Dtype::i8) {
    const auto exponentials = store.array<float>(256);
    for (std::size_t d = 0; d < 256; ++d)
      exponentials[d] = static_cast<float>(std::exp(-scale_of(site.input(0)) * static_cast<double>(d)));
    params.exponentials = exponentials.data();
    params.in_scale = site.input(0).quantization->scale[0];
    params.out_inverse_scale = quantization_of(site.result()).inverse_scale;
    params.out_zero_point = zero_point_of(site.result());
  }
  prepared = {.params = store.keep(params), .units = rows.count};
  return true;
}

bool prepare_quantize(const Site& site, Store& store, Prepared& prepared) {
  prepared = {.params = store.keep(quantization_of(site.result())), .units = site.output_shape().size()};
  return true;
}

bool prepare_shift(const Site& site, Store&, Prepared& prepared) {
  prepared = {.units = site.output_shape().size()};
  return true;
}

bool prepare_dequantize(const Site& site, Store& store, Prepared& prepared) {
  prepared = {.params = store.keep(quantization_of(site.input(0))), .units = site.output_shape().size()};
  return true;
}

bool prepare_concat(const Site& site, Store& store, Prepared& prepared) {
  const auto element = static_cast<std::int64_t>(size_of(site.result().dtype));
  CopySlices params;
  for (std::size_t i = 0; i < site.part; ++i) params.out_offset += site.input_shape(i)[-1] * element;
  params.slice = site.input_shape(site.part)[-1] * element;
  params.out_stride = site.output_shape()[-1] * element;
  prepared = {.params = store.keep(params), .units = rows_of(site.output_shape()).count};
  return true;
}

bool prepare_pad(const Site& site, Store& store, Prepared& prepared) {
  const auto& op = std::get<graph::Pad>(site.op);
  const Shape &in = site.input_shape(0), &out = site.output_shape();
  const auto pixel = in[3] * static_cast<std::int64_t>(size_of(site.result().dtype));
  const bool integer = site.result().dtype == Dtype::i8;
  const PadImage params{.in_h = in[1],
                        .out_h = out[1],
                        .top = op.top,
                        .left = op.left * pixel,
                        .row = in[2] * pixel,
                        .out_row = out[2] * pixel,
                        .fill = static_cast<std::uint8_t>(integer ? zero_point_of(site.result()) : 0)};
  prepared = {.params = store.keep(params), .units = out[0] * out[1]};
  return true;
}

}  // namespace lathe::runtime
