#include "parameters.h"

#include <lathe/base/error.h>

#include <algorithm>
#include <cmath>

namespace lathe::compress {
namespace {

using graph::ConstantData;
using graph::Graph;
using graph::Node;
using graph::Quantization;
using graph::Value;
using graph::ValueId;

template <typename T>
Value integer_constant(const Value& real, Quantization quantization, std::span<const T> elements) {
  return {.name = real.name,
          .shape = real.shape,
          .dtype = DtypeOf<T>::value,
          .quantization = std::move(quantization),
          .data = ConstantData::copy(std::as_bytes(elements))};
}

/// Scale of the weights of one output channel: the largest is 127, unless the bias needs a larger one.
float weight_scale(std::span<const float> weights, float bias, double in_scale, double out_scale) {
  double largest = 0;
  for (float w : weights) largest = std::max(largest, std::abs(static_cast<double>(w)));
  // A bias, in steps of input times weight scale, takes at most half of the 32 bits; a channel whose weights
  // make no difference to the output (all zero, for one) has steps of 2^-24 of the output's.
  return static_cast<float>(
      std::max({largest / 127, std::abs(static_cast<double>(bias)) / std::ldexp(in_scale, 30),
                std::ldexp(out_scale / in_scale, -24)}));
}

std::int8_t weight_code(float w, float scale) {
  const double code = std::round(static_cast<double>(w) / static_cast<double>(scale));
  return static_cast<std::int8_t>(std::clamp(code, -127., 127.));
}

/// Weight and bias of a convolution or linear layer in integers.
struct Layer {
  Value weight;
  std::optional<Value> bias;
};

Layer quantize_layer(const Graph& graph, const Node& node, const Quantization& in, const Quantization& out) {
  const Value& weight = graph.value(node.inputs[1]);
  const Value* bias = node.inputs.size() > 2 ? &graph.value(node.inputs[2]) : nullptr;
  const auto channels = static_cast<std::size_t>(weight.shape[0]);
  const auto weights = weight.elements<float>();
  const std::size_t taps = weights.size() / channels;
  Quantization weight_parameters, bias_parameters;
  std::vector<std::int8_t> weight_codes(weights.size());
  std::vector<std::int32_t> bias_codes(channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const float b = bias != nullptr ? bias->elements<float>()[c] : 0;
    const auto channel = weights.subspan(c * taps, taps);
    const float scale =
        weight_scale(channel, b, static_cast<double>(in.scale[0]), static_cast<double>(out.scale[0]));
    const float product = in.scale[0] * scale;
    weight_parameters.scale.push_back(scale);
    bias_parameters.scale.push_back(product);
    for (std::size_t i = 0; i < taps; ++i) weight_codes[c * taps + i] = weight_code(channel[i], scale);
    bias_codes[c] =
        static_cast<std::int32_t>(std::llround(static_cast<double>(b) / static_cast<double>(product)));
  }
  Layer layer{.weight = integer_constant<std::int8_t>(weight, std::move(weight_parameters), weight_codes)};
  if (bias != nullptr)
    layer.bias = integer_constant<std::int32_t>(*bias, std::move(bias_parameters), bias_codes);
  return layer;
}

class Quantizer {
 public:
  Quantizer(const Graph& graph, std::vector<Quantization> parameters)
      : from_(graph), parameters_(std::move(parameters)), ids_(graph.values().size(), -1) {}

  Graph run(QuantizeOptions::Border border) {
    for (ValueId id : from_.inputs()) add_input(id, border);
    for (const Node& node : from_.nodes()) add_node(node);
    std::vector<ValueId> outputs;
    for (ValueId id : from_.outputs()) outputs.push_back(to_.add_node(graph::Dequantize{}, {now(id)}));
    to_.set_outputs(std::move(outputs));
    return std::move(to_);
  }

 private:
  const Quantization& parameters(ValueId id) const { return parameters_[static_cast<std::size_t>(id)]; }
  ValueId& now(ValueId id) { return ids_[static_cast<std::size_t>(id)]; }

  void add_input(ValueId id, QuantizeOptions::Border border) {
    const Value& value = from_.value(id);
    const bool u8 = border == QuantizeOptions::Border::u8;
    const ValueId input = to_.add_input(value.name, value.shape, u8 ? Dtype::u8 : Dtype::f32);
    const Quantization& inside = parameters(id);
    if (u8) to_.value(input).quantization = Quantization{inside.scale, inside.zero_point + 128};
    now(id) = to_.add_node(graph::Quantize{}, {input}, {}, Dtype::i8, inside);
  }

  void add_node(const Node& node) {
    std::vector<ValueId> inputs;
    if (std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op)) {
      Layer layer = quantize_layer(from_, node, parameters(node.inputs[0]), parameters(node.output));
      inputs = {now(node.inputs[0]), to_.add_constant(std::move(layer.weight))};
      if (layer.bias) inputs.push_back(to_.add_constant(std::move(*layer.bias)));
    } else {
      for (ValueId id : node.inputs) inputs.push_back(now(id));
    }
    if (std::holds_alternative<graph::Concat>(node.op)) rescale_parts(node, inputs);
    now(node.output) =
        to_.add_node(node.op, std::move(inputs), node.name, Dtype::i8, parameters(node.output));
  }

  /// Parts of a concatenation that have parameters of their own (a sigmoid's are fixed) are brought to its.
  void rescale_parts(const Node& node, std::vector<ValueId>& parts) {
    const Quantization& wanted = parameters(node.output);
    for (ValueId& part : parts)
      if (to_.value(part).quantization != wanted)
        part = to_.add_node(graph::Activate{graph::Activation::none}, {part}, node.name, Dtype::i8, wanted);
  }

  const Graph& from_;
  std::vector<Quantization> parameters_;
  Graph to_;
  std::vector<ValueId> ids_;  ///< in the new graph, by id in the old one
};

}  // namespace

Graph quantize_int8(const Graph& graph, std::span<const Range> ranges, const QuantizeOptions& options) {
  graph::verify(graph);
  check(ranges.size() == graph.values().size(), "quantize: {} ranges given for {} values", ranges.size(),
        graph.values().size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const Value& value = graph.values()[i];
    check(value.dtype == Dtype::f32, "quantize: a float graph is expected, value {} is {}", i,
          to_string(value.dtype));
    check(std::isfinite(ranges[i].min) && std::isfinite(ranges[i].max) && ranges[i].min <= 0 &&
              ranges[i].max >= 0,
          "quantize: the range of value {} must be finite and include 0, given {} to {}", i, ranges[i].min,
          ranges[i].max);
  }
  Graph result = Quantizer(graph, choose_parameters(graph, ranges, options)).run(options.input);
  try {
    graph::verify(result);
  } catch (const Error& error) {
    fail("quantize: {}", error.what());
  }
  return result;
}

}  // namespace lathe::compress
