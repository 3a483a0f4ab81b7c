#pragma once

#include <lathe/base/random.h>
#include <lathe/graph/graph.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

/// Integer models of the sizes of the bundled ones, with generated weights that are as compressible as
/// trained ones.
namespace synthetic_models {

using namespace lathe;
using namespace lathe::graph;

/// What has been done to the weights.
enum class Kind { dense, pruned, clustered, pruned_and_clustered };

/// One channel after the other: bell-shaped, the largest at 127, then 80 % zeros and 8 or 16 distinct
/// numbers.
inline std::vector<std::int8_t> weights(const Shape& shape, Kind kind, Rng& rng) {
  const auto count = static_cast<std::size_t>(shape.size()), rows = static_cast<std::size_t>(shape[0]);
  const std::size_t row = count / rows;
  std::vector<std::int8_t> result;
  for (std::size_t r = 0; r < rows; ++r) {
    std::vector<float> channel(row);
    float largest = 1e-9f;
    for (float& w : channel) {
      w = rng.normal() * std::sqrt(1.5f * rng.uniform() + 0.25f);
      largest = std::max(largest, std::abs(w));
    }
    for (float w : channel) {
      int code = static_cast<int>(std::lround(127 * w / largest));
      const bool pruned = kind == Kind::pruned || kind == Kind::pruned_and_clustered;
      if (pruned && std::abs(w) < 1.15f) code = 0;
      const int step = kind == Kind::clustered ? 36 : 17;
      if (kind == Kind::clustered || kind == Kind::pruned_and_clustered)
        code = std::clamp(step * static_cast<int>(std::lround(static_cast<double>(code) / step)), -127, 127);
      result.push_back(static_cast<std::int8_t>(code));
    }
  }
  return result;
}

/// Builds an integer graph layer by layer.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : rng_(seed) {
    const ValueId x = graph_.add_input("image", {1, 28, 28, 1});
    last_ = graph_.add_node(Quantize{}, {x}, "", Dtype::i8, Quantization{{scale_}, -128});
  }

  /// `short_scales`: of 8 significant bits, as a quantizer may choose them.
  void weighted(Op op, const std::string& name, const Shape& shape, Kind kind, bool short_scales) {
    Quantization weight_scale, bias_scale;
    const auto channels = static_cast<std::size_t>(shape[0]);
    std::vector<std::int32_t> bias;
    for (std::size_t c = 0; c < channels; ++c) {
      float scale = 0.002f * (0.5f + rng_.uniform());
      if (short_scales) scale = std::ldexp(std::round(std::ldexp(scale, 16)), -16);
      weight_scale.scale.push_back(scale);
      bias_scale.scale.push_back(scale_ * scale);
      bias.push_back(static_cast<std::int32_t>(4000 * rng_.normal()));
    }
    const std::vector<std::int8_t> codes = weights(shape, kind, rng_);
    const ValueId weight =
        add(shape, Dtype::i8, weight_scale, std::as_bytes(std::span(codes)), name + ".weight");
    const ValueId added =
        add({shape[0]}, Dtype::i32, bias_scale, std::as_bytes(std::span(bias)), name + ".bias");
    scale_ *= 4;
    last_ = graph_.add_node(std::move(op), {last_, weight, added}, name, Dtype::i8, parameters());
  }
  void handed_on(Op op, const std::string& name) {
    last_ = graph_.add_node(std::move(op), {last_}, name, Dtype::i8, parameters());
  }
  void rescaled(Op op, const std::string& name) {
    scale_ *= 0.75f;
    handed_on(std::move(op), name);
  }
  const Shape& shape() const { return graph_.value(last_).shape; }

  Graph finish() {
    graph_.set_outputs({graph_.add_node(Dequantize{}, {last_})});
    return std::move(graph_);
  }

 private:
  Quantization parameters() const { return {{scale_}, -128}; }
  ValueId add(const Shape& shape, Dtype dtype, Quantization quantization, std::span<const std::byte> bytes,
              std::string name) {
    return graph_.add_constant({.name = std::move(name),
                                .shape = shape,
                                .dtype = dtype,
                                .quantization = std::move(quantization),
                                .data = ConstantData::copy(bytes)});
  }

  Graph graph_;
  Rng rng_;
  float scale_ = 1 / 255.f;
  ValueId last_ = -1;
};

/// 34,720 weights, 106 biases and scales.
inline Graph conv(Kind kind, bool short_scales = false, std::uint64_t seed = 1) {
  Maker maker(seed);
  maker.weighted(Conv2d{.activation = Activation::relu}, "conv1", {32, 3, 3, 1}, kind, short_scales);
  maker.handed_on(MaxPool2d{}, "pool1");
  maker.weighted(Conv2d{.activation = Activation::relu}, "conv2", {64, 3, 3, 32}, kind, short_scales);
  maker.handed_on(MaxPool2d{}, "pool2");
  maker.handed_on(Reshape{{1600}}, "flatten");
  maker.weighted(Linear{}, "linear", {10, 1600}, kind, short_scales);
  return maker.finish();
}

/// 1,176 weights, 90 biases and scales.
inline Graph dscnn(Kind kind = Kind::dense, bool short_scales = false, std::uint64_t seed = 1) {
  Maker maker(seed);
  const auto convolution = [&](const std::string& name, const Shape& shape, int stride, int groups) {
    maker.weighted(Conv2d{stride, stride, Padding::same(), groups, Activation::relu}, name, shape, kind,
                   short_scales);
  };
  convolution("stem", {12, 3, 3, 1}, 2, 1);
  convolution("depthwise1", {12, 3, 3, 1}, 1, 12);
  convolution("pointwise1", {16, 1, 1, 12}, 1, 1);
  convolution("depthwise2", {16, 3, 3, 1}, 2, 16);
  convolution("pointwise2", {24, 1, 1, 16}, 1, 1);
  maker.rescaled(GlobalAvgPool{}, "pool");
  maker.weighted(Linear{}, "linear", {10, 24}, kind, short_scales);
  return maker.finish();
}

}  // namespace synthetic_models
