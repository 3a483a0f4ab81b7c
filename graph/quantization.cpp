#include <lathe/graph/quantization.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lathe::graph {
namespace {

/// No scale is smaller: far from denormal numbers, also after it was multiplied by a weight's.
constexpr double kSmallestScale = 1e-30;

}  // namespace

Quantization activation_parameters(Range range, int bits, double smallest) {
  assert(bits == 8 || bits == 16);
  const double low = std::min(static_cast<double>(range.min), 0.),
               high = std::max(static_cast<double>(range.max), 0.);
  const double wide = bits == 8 ? (high - low) / 255 : std::max(-low, high) / 32767;
  // A value that is always 0 can have any scale; with a small one the biases that are added to it are exact.
  const auto scale = static_cast<float>(std::max({high > low ? wide : 1. / 1024, smallest, kSmallestScale}));
  if (bits == 16) return {{scale}, 0};
  const double zero_point = std::round(-128 - low / static_cast<double>(scale));
  return {{scale}, static_cast<std::int32_t>(std::clamp(zero_point, -128., 127.))};
}

std::optional<Quantization> fixed_parameters(const Op& op, int bits) {
  assert(bits == 8 || bits == 16);
  const auto* activate = std::get_if<Activate>(&op);
  const bool sigmoid = activate != nullptr && activate->activation == Activation::sigmoid;
  if (std::holds_alternative<Softmax>(op) || sigmoid)
    return bits == 8 ? Quantization{{1.f / 256}, -128} : Quantization{{1.f / 32768}, 0};
  if (std::holds_alternative<LogSoftmax>(op))
    return bits == 8 ? Quantization{{16.f / 256}, 127} : Quantization{{16.f / 32768}, 0};
  return {};
}

float weight_scale(std::span<const float> weights, double smallest) {
  double largest = 0;
  for (float w : weights) largest = std::max(largest, std::abs(static_cast<double>(w)));
  return static_cast<float>(std::max(largest / 127, smallest));
}

std::int8_t weight_code(float w, float scale) {
  const double code = std::round(static_cast<double>(w) / static_cast<double>(scale));
  return static_cast<std::int8_t>(std::clamp(code, -127., 127.));
}

}  // namespace lathe::graph
