#include "parameters.h"
#include "weight_scales.h"

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

/// A bias, in steps of input times weight scale, takes at most half of the 32 bits; a channel whose weights
/// make no difference to the output (all zero, for one) has steps of 2^-24 of the output's.
double smallest_scale(float bias, double in_scale, double out_scale) {
  return std::max(std::abs(static_cast<double>(bias)) / std::ldexp(in_scale, 30),
                  std::ldexp(out_scale / in_scale, -24));
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
  const std::vector<float> scales = weight_scales(weights, channels);
  for (std::size_t c = 0; c < channels; ++c) {
    const float b = bias != nullptr ? bias->elements<float>()[c] : 0;
    const auto channel = weights.subspan(c * taps, taps);
    const float scale =
        std::max(scales[c], static_cast<float>(smallest_scale(b, static_cast<double>(in.scale[0]),
                                                              static_cast<double>(out.scale[0]))));
    const float product = in.scale[0] * scale;
    weight_parameters.scale.push_back(scale);
    bias_parameters.scale.push_back(product);
    for (std::size_t i = 0; i < taps; ++i) weight_codes[c * taps + i] = graph::weight_code(channel[i], scale);
    bias_codes[c] =
        static_cast<std::int32_t>(std::llround(static_cast<double>(b) / static_cast<double>(product)));
  }
  Layer layer{.weight = integer_constant<std::int8_t>(weight, std::move(weight_parameters), weight_codes)};
  if (bias != nullptr)
    layer.bias = integer_constant<std::int32_t>(*bias, std::move(bias_parameters), bias_codes);
  return layer;
}

/// The new graph, and which node of the old one each of its nodes was made for (none for those at borders).
struct Result {
  Graph graph;
  std::vector<std::optional<std::size_t>> sources;
};

class Quantizer {
 public:
  Quantizer(const Graph& graph, const std::vector<Quantization>& parameters, const Reasons& stay_float)
      : from_(graph),
        parameters_(parameters),
        stay_float_(stay_float),
        reals_(graph.values().size(), kNone),
        integers_(graph.values().size(), kNone) {}

  Result run(QuantizeOptions::Border border) {
    for (ValueId id : from_.inputs()) add_input(id, border);
    for (std::size_t i = 0; i < from_.nodes().size(); ++i) {
      const Node& node = from_.nodes()[i];
      if (stay_float_[i])
        add_real(node);
      else
        add_integer(node);
      while (sources_.size() < to_.nodes().size()) {
        const graph::Op& op = to_.nodes()[sources_.size()].op;
        const bool border =
            std::holds_alternative<graph::Quantize>(op) || std::holds_alternative<graph::Dequantize>(op);
        sources_.push_back(border ? std::nullopt : std::optional(i));
      }
    }
    std::vector<ValueId> outputs;
    for (ValueId id : from_.outputs()) outputs.push_back(real(id));
    to_.set_outputs(std::move(outputs));
    sources_.resize(to_.nodes().size());
    return {std::move(to_), std::move(sources_)};
  }

 private:
  static constexpr ValueId kNone = -1;

  const Quantization& parameters(ValueId id) const { return parameters_[static_cast<std::size_t>(id)]; }
  ValueId& integer_of(ValueId id) { return integers_[static_cast<std::size_t>(id)]; }
  ValueId& real_of(ValueId id) { return reals_[static_cast<std::size_t>(id)]; }

  bool read_in_integers(ValueId id) const {
    for (std::size_t i = 0; i < from_.nodes().size(); ++i)
      if (!stay_float_[i] && std::ranges::count(from_.nodes()[i].inputs, id) > 0) return true;
    return false;
  }

  void add_input(ValueId id, QuantizeOptions::Border border) {
    const Value& value = from_.value(id);
    const bool u8 = border == QuantizeOptions::Border::u8;
    const ValueId input = to_.add_input(value.name, value.shape, u8 ? Dtype::u8 : Dtype::f32);
    if (!u8) {
      real_of(id) = input;
      if (read_in_integers(id)) integer(id);
      return;
    }
    const Quantization& inside = parameters(id);
    to_.value(input).quantization = Quantization{inside.scale, inside.zero_point + 128};
    integer_of(id) = to_.add_node(graph::Quantize{}, {input}, {}, Dtype::i8, inside);
  }

  /// A value of the old graph in the new one, in integers. Made at the first call.
  ValueId integer(ValueId id) {
    if (integer_of(id) == kNone)
      integer_of(id) = to_.add_node(graph::Quantize{}, {real_of(id)}, {}, Dtype::i8, parameters(id));
    return integer_of(id);
  }

  /// The same in f32.
  ValueId real(ValueId id) {
    if (real_of(id) == kNone)
      real_of(id) = from_.value(id).is_constant() ? to_.add_constant(from_.value(id))
                                                  : to_.add_node(graph::Dequantize{}, {integer_of(id)});
    return real_of(id);
  }

  void add_real(const Node& node) {
    std::vector<ValueId> inputs;
    for (ValueId id : node.inputs) inputs.push_back(real(id));
    real_of(node.output) = to_.add_node(node.op, std::move(inputs), node.name);
  }

  void add_integer(const Node& node) {
    std::vector<ValueId> inputs;
    if (std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op)) {
      Layer layer = quantize_layer(from_, node, parameters(node.inputs[0]), parameters(node.output));
      inputs = {integer(node.inputs[0]), to_.add_constant(std::move(layer.weight))};
      if (layer.bias) inputs.push_back(to_.add_constant(std::move(*layer.bias)));
    } else {
      for (ValueId id : node.inputs) inputs.push_back(integer(id));
    }
    if (std::holds_alternative<graph::Concat>(node.op)) rescale_parts(node, inputs);
    integer_of(node.output) =
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
  const std::vector<Quantization>& parameters_;
  const Reasons& stay_float_;
  Graph to_;
  std::vector<std::optional<std::size_t>> sources_;
  std::vector<ValueId> reals_, integers_;  ///< in the new graph, by id in the old one
};

/// Nodes of the result that the integer rules refuse stay float. False when there are none.
bool refuse(const Result& result, Reasons& stay_float) {
  bool any = false;
  for (std::size_t i = 0; i < result.graph.nodes().size(); ++i) {
    if (!result.sources[i] || stay_float[*result.sources[i]]) continue;
    try {
      verify_types(result.graph, result.graph.nodes()[i]);
    } catch (const Error& error) {
      stay_float[*result.sources[i]] = error.what();
      any = true;
    }
  }
  return any;
}

void check_ranges(const Graph& graph, std::span<const std::optional<Range>> ranges) {
  check(ranges.size() == graph.values().size(), "quantize: {} ranges given for {} values", ranges.size(),
        graph.values().size());
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const Value& value = graph.values()[i];
    check(value.dtype == Dtype::f32, "quantize: a float graph is expected, value {} is {}", i,
          to_string(value.dtype));
    const Range range = ranges[i].value_or(Range{});
    check(std::isfinite(range.min) && std::isfinite(range.max) && range.min <= 0 && range.max >= 0,
          "quantize: the range of value {} must be finite and include 0, given {} to {}", i, range.min,
          range.max);
  }
}

}  // namespace

Graph quantize(const Graph& graph, std::span<const std::optional<Range>> ranges,
               const QuantizeOptions& options, std::vector<FloatNode>* left_float) {
  graph::verify(graph);
  check_ranges(graph, ranges);
  Ranges known(ranges.begin(), ranges.end());
  for (ValueId id : graph.inputs()) {
    std::optional<Range>& range = known[static_cast<std::size_t>(id)];
    if (!range && options.input == QuantizeOptions::Border::u8) range = Range{0, 1};
  }
  const Ranges complete = complete_ranges(graph, std::move(known));
  Reasons stay_float = reasons_for_float(graph, complete);
  for (std::size_t node : options.stay_float) {
    check(node < stay_float.size(), "quantize: node {} is to stay float, there are {}", node,
          stay_float.size());
    if (!stay_float[node]) stay_float[node] = "it is to stay float";
  }
  Result result;
  do {
    const auto parameters = choose_parameters(graph, complete, stay_float, options);
    result = Quantizer(graph, parameters, stay_float).run(options.input);
  } while (refuse(result, stay_float));
  try {
    graph::verify(result.graph);
  } catch (const Error& error) {
    fail("quantize: {}", error.what());
  }
  if (left_float != nullptr) {
    left_float->clear();
    for (std::size_t i = 0; i < stay_float.size(); ++i)
      if (stay_float[i]) left_float->push_back({i, *stay_float[i]});
  }
  return std::move(result.graph);
}

}  // namespace lathe::compress
