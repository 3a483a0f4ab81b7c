#pragma once

#include <lathe/graph/graph.h>

#include <cstdint>
#include <optional>
#include <span>

/// From ranges to quantization parameters: the one place that makes them, for training with quantization in
/// mind and for deployment, so that both use the same bits. Jacob et al. 2018; TFLite's 8-bit specification.
namespace lathe::graph {

/// The real numbers that a value takes, from `min` <= 0 to `max` >= 0.
struct Range {
  float min = 0;
  float max = 0;
  bool operator==(const Range&) const = default;
};

/// The codes that activations of 8 or 16 bits can have.
struct Codes {
  std::int32_t low = -128;
  std::int32_t high = 127;
};
constexpr Codes activation_codes(int bits) {
  const std::int32_t half = std::int32_t{1} << (bits - 1);
  return {-half, half - 1};
}

/// Scale and zero point of an activation; a range without 0 is widened to it.
/// 8 bits: asymmetric, codes -128..127, scale = (max - min) / 255, the zero point such that 0 is exact.
/// 16 bits: symmetric, zero point 0, scale = max|x| / 32767.
/// The scale is at least `smallest`, and never denormal.
Quantization activation_parameters(Range range, int bits, double smallest = 0);

/// Parameters that are fixed for an op's output: softmax and sigmoid 1/256 with zero point -128, log-softmax
/// 16/256 with zero point 127; with 16 bits 1/32768 and 16/32768 with zero point 0. Nothing for other ops.
std::optional<Quantization> fixed_parameters(const Op& op, int bits);

/// Scale of the weights of one output channel, symmetric with codes -127..127: max|w| / 127, but at least
/// `smallest`. 0 where all weights and `smallest` are 0.
float weight_scale(std::span<const float> weights, double smallest = 0);

/// The code of a weight: w / scale to the nearest integer, halves away from zero, within -127..127.
std::int8_t weight_code(float w, float scale);

}  // namespace lathe::graph
