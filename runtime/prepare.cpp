#include "prepare.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::runtime {

std::int32_t narrow(std::int64_t extent) {
  check(extent >= 0 && extent <= std::numeric_limits<std::int32_t>::max(), "extent {} is too large", extent);
  return static_cast<std::int32_t>(extent);
}

Clamp clamp_of(graph::Activation activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  switch (activation) {
    case graph::Activation::relu:
      return {0, kInfinity};
    case graph::Activation::relu6:
      return {0, 6};
    default:
      return {-kInfinity, kInfinity};
  }
}

double activated(graph::Activation activation, double x) {
  switch (activation) {
    case graph::Activation::none:
      return x;
    case graph::Activation::relu:
      return std::max(x, 0.);
    case graph::Activation::relu6:
      return std::min(std::max(x, 0.), 6.);
    case graph::Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case graph::Activation::silu:
      return x / (1 + std::exp(-x));
  }
  return x;
}

FixedFactor to_fixed(double factor, std::int32_t smallest) {
  int exponent = 0;
  const double fraction = std::frexp(factor, &exponent);
  auto multiplier = std::llround(std::ldexp(fraction, 31));
  if (multiplier == std::int64_t{1} << 31) {
    multiplier /= 2;
    ++exponent;
  }
  if (exponent < smallest) return {0, 0};
  return {static_cast<std::int32_t>(multiplier), exponent};
}

double scale_of(const graph::Value& value) { return static_cast<double>(value.quantization->scale[0]); }

std::int32_t zero_point_of(const graph::Value& value) { return value.quantization->zero_point; }

void set_code_limits(graph::Activation activation, const graph::Value& output, std::int32_t& low,
                     std::int32_t& high) {
  low = -128;
  high = 127;
  if (activation == graph::Activation::none) return;
  const std::int32_t zero_point = zero_point_of(output);
  low = std::max(low, zero_point);
  if (activation != graph::Activation::relu6) return;
  const double six = std::min(std::round(6 / scale_of(output)), 255.);
  high = std::min(high, zero_point + static_cast<std::int32_t>(six));
}

Rescale rescale_of(const Site& site, graph::Activation activation, Store& store) {
  const graph::Value& weight = site.input(1);
  const auto channels = static_cast<std::size_t>(weight.shape[0]);
  const auto multiplier = store.array<std::int32_t>(channels), exponent = store.array<std::int32_t>(channels);
  const std::vector<float>& scale = weight.quantization->scale;
  for (std::size_t c = 0; c < channels; ++c) {
    const double weight_scale = static_cast<double>(scale[scale.size() == 1 ? 0 : c]);
    const FixedFactor factor = to_fixed(scale_of(site.input(0)) * weight_scale / scale_of(site.result()));
    multiplier[c] = factor.multiplier;
    exponent[c] = factor.exponent;
  }
  Rescale result{.multiplier = multiplier.data(), .exponent = exponent.data()};
  result.zero_point = zero_point_of(site.result());
  set_code_limits(activation, site.result(), result.low, result.high);
  return result;
}

}  // namespace lathe::runtime
