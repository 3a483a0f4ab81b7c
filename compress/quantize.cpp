#include "integer_constant.h"
#include "parameters.h"
#include "passes/affine.h"
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

/// A bias, in steps of input times weight scale, takes at most half of its 32 (or 64) bits. A channel whose
/// weights make no difference to the output (all zero, for one) has steps of 2^-20 of the output's, 2^-16 of
/// 16-bit ones: fine enough for its bias, and coarse enough for the sums of the vector kernels.
double smallest_scale(float bias, double in_scale, double out_scale, Scheme scheme) {
  const bool narrow = scheme == Scheme::int8;
  return std::max(std::abs(static_cast<double>(bias)) / std::ldexp(in_scale, narrow ? 30 : 60),
                  std::ldexp(out_scale / in_scale, narrow ? -20 : -16));
}

/// Weight and bias of a convolution or linear layer in integers.
struct Layer {
  Value weight;
  std::optional<Value> bias;
};

template <typename Bias>
Value quantize_bias(const Value& bias, Quantization parameters) {
  std::vector<Bias> codes;
  for (std::size_t c = 0; c < parameters.scale.size(); ++c)
    codes.push_back(static_cast<Bias>(std::llround(static_cast<double>(bias.elements<float>()[c]) /
                                                   static_cast<double>(parameters.scale[c]))));
  return integer_constant<Bias>(bias, std::move(parameters), codes);
}

Layer quantize_layer(const Value& weight, const Value* bias, const Quantization& in, const Quantization& out,
                     Scheme scheme) {
  const auto channels = static_cast<std::size_t>(weight.shape[0]);
  const auto weights = weight.elements<float>();
  std::vector<float> scales = weight_scales(weights, channels);
  Quantization bias_parameters;
  for (std::size_t c = 0; c < channels; ++c) {
    const float b = bias != nullptr ? bias->elements<float>()[c] : 0;
    const double smallest =
        smallest_scale(b, static_cast<double>(in.scale[0]), static_cast<double>(out.scale[0]), scheme);
    scales[c] = std::max(scales[c], static_cast<float>(smallest));
    bias_parameters.scale.push_back(in.scale[0] * scales[c]);
  }
  Layer layer{.weight = quantize_weight(weight, std::move(scales))};
  if (bias != nullptr)
    layer.bias = scheme == Scheme::int8 ? quantize_bias<std::int32_t>(*bias, std::move(bias_parameters))
                                        : quantize_bias<std::int64_t>(*bias, std::move(bias_parameters));
  return layer;
}

/// A batch norm as the convolution of one pixel and one channel that it is.
struct NormLayer {
  graph::Conv2d op;
  Value weight, bias;
};

NormLayer as_convolution(const Graph& graph, const Node& norm) {
  const Affine map = affine(graph, norm);
  const auto constant = [&](std::size_t input, const Shape& shape, const std::vector<double>& elements) {
    const std::vector<float> floats(elements.begin(), elements.end());
    return Value{.name = graph.value(norm.inputs[input]).name,
                 .shape = shape,
                 .data = ConstantData::copy(std::as_bytes(std::span(floats)))};
  };
  const auto channels = static_cast<std::int64_t>(map.scale.size());
  return {.op = {.groups = static_cast<int>(channels),
                 .activation = std::get<graph::BatchNorm>(norm.op).activation},
          .weight = constant(1, {channels, 1, 1, 1}, map.scale),
          .bias = constant(2, {channels}, map.shift)};
}

/// The new graph, and which node of the old one each of its nodes was made for (none for those at borders).
struct Result {
  Graph graph;
  std::vector<std::optional<std::size_t>> sources;
};

class Quantizer {
 public:
  Quantizer(const Graph& graph, const Ranges& ranges, const std::vector<Quantization>& parameters,
            const Reasons& stay_float, const QuantizeOptions& options)
      : from_(graph),
        ranges_(ranges),
        parameters_(parameters),
        stay_float_(stay_float),
        options_(options),
        dtype_(options.scheme == Scheme::int8 ? Dtype::i8 : Dtype::i16),
        reals_(graph.values().size(), kNone),
        integers_(graph.values().size(), kNone) {}

  Result run() {
    for (ValueId id : from_.inputs()) add_input(id);
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
    for (ValueId id : from_.outputs())
      outputs.push_back(options_.output == Border::u8 ? bytes(id) : real(id));
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

  void add_input(ValueId id) {
    const Value& value = from_.value(id);
    const bool u8 = options_.input == Border::u8;
    const ValueId input = to_.add_input(value.name, value.shape, u8 ? Dtype::u8 : Dtype::f32);
    if (u8) {
      to_.value(input).quantization = Quantization{kPixels.scale, kPixels.zero_point + 128};
      const ValueId pixels = to_.add_node(graph::Quantize{}, {input}, {}, Dtype::i8, kPixels);
      if (dtype_ == Dtype::i8) {
        integer_of(id) = pixels;
        return;
      }
      real_of(id) = to_.add_node(graph::Dequantize{}, {pixels});
    } else {
      real_of(id) = input;
    }
    if (read_in_integers(id)) integer(id);
  }

  /// A value of the old graph in the new one, in integers. Made at the first call.
  ValueId integer(ValueId id) {
    if (integer_of(id) == kNone)
      integer_of(id) = to_.add_node(graph::Quantize{}, {real_of(id)}, {}, dtype_, parameters(id));
    return integer_of(id);
  }

  /// The same in f32.
  ValueId real(ValueId id) {
    if (real_of(id) == kNone)
      real_of(id) = from_.value(id).is_constant() ? to_.add_constant(from_.value(id))
                                                  : to_.add_node(graph::Dequantize{}, {integer_of(id)});
    return real_of(id);
  }

  /// The same in u8.
  ValueId bytes(ValueId id) {
    const auto& range = ranges_[static_cast<std::size_t>(id)];
    check(range.has_value(), "quantize: output value {} has no range, which its u8 codes would need", id);
    const ValueId codes = dtype_ == Dtype::i8 ? integer(id)
                                              : to_.add_node(graph::Quantize{}, {real(id)}, {}, Dtype::i8,
                                                             graph::activation_parameters(*range, 8));
    const Quantization inside = *to_.value(codes).quantization;
    return to_.add_node(graph::Dequantize{}, {codes}, {}, Dtype::u8,
                        Quantization{inside.scale, inside.zero_point + 128});
  }

  void add_real(const Node& node) {
    std::vector<ValueId> inputs;
    for (ValueId id : node.inputs) inputs.push_back(real(id));
    real_of(node.output) = to_.add_node(node.op, std::move(inputs), node.name);
  }

  void add_integer(const Node& node) {
    if (std::holds_alternative<graph::BatchNorm>(node.op)) {
      const NormLayer norm = as_convolution(from_, node);
      return add_layer(node, norm.op, norm.weight, &norm.bias);
    }
    if (std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op))
      return add_layer(node, node.op, from_.value(node.inputs[1]),
                       node.inputs.size() > 2 ? &from_.value(node.inputs[2]) : nullptr);
    std::vector<ValueId> inputs;
    for (ValueId id : node.inputs) inputs.push_back(integer(id));
    if (std::holds_alternative<graph::Concat>(node.op)) rescale_parts(node, inputs);
    integer_of(node.output) =
        to_.add_node(node.op, std::move(inputs), node.name, dtype_, parameters(node.output));
  }

  void add_layer(const Node& node, const graph::Op& op, const Value& weight, const Value* bias) {
    Layer layer =
        quantize_layer(weight, bias, parameters(node.inputs[0]), parameters(node.output), options_.scheme);
    std::vector<ValueId> inputs{integer(node.inputs[0]), to_.add_constant(std::move(layer.weight))};
    if (layer.bias) inputs.push_back(to_.add_constant(std::move(*layer.bias)));
    integer_of(node.output) = to_.add_node(op, std::move(inputs), node.name, dtype_, parameters(node.output));
  }

  /// Parts of a concatenation that have parameters of their own (a sigmoid's are fixed) are brought to its.
  void rescale_parts(const Node& node, std::vector<ValueId>& parts) {
    const Quantization& wanted = parameters(node.output);
    for (ValueId& part : parts)
      if (to_.value(part).quantization != wanted)
        part = to_.add_node(graph::Activate{graph::Activation::none}, {part}, node.name, dtype_, wanted);
  }

  const Graph& from_;
  const Ranges& ranges_;
  const std::vector<Quantization>& parameters_;
  const Reasons& stay_float_;
  const QuantizeOptions& options_;
  Dtype dtype_;
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
    if (!range && options.input == Border::u8) range = Range{0, 1};
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
    result = Quantizer(graph, complete, parameters, stay_float, options).run();
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
