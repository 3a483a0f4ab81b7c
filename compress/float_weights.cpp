#include "integer_constant.h"

#include <lathe/base/error.h>
#include <lathe/base/half.h>
#include <lathe/compress/quantize.h>

#include <algorithm>
#include <cmath>

/// Quantization that leaves activations float: of the weights of layers, or of all constants.
namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::Value;
using graph::ValueId;

void check_float(const Graph& graph) {
  graph::verify(graph);
  for (std::size_t i = 0; i < graph.values().size(); ++i)
    check(graph.values()[i].dtype == Dtype::f32, "quantize: a float graph is expected, value {} is {}", i,
          to_string(graph.values()[i].dtype));
}

void give(std::vector<FloatNode> left, std::vector<FloatNode>* to) {
  if (to != nullptr) *to = std::move(left);
}

Value dynamic_weight(const Value& weight) {
  const auto elements = weight.elements<float>();
  const auto channels = static_cast<std::size_t>(weight.shape[0]), taps = elements.size() / channels;
  // The scale of a channel of zeros can be anything that is not 0.
  constexpr double kSmallest = 1e-30;
  std::vector<float> scales;
  for (std::size_t c = 0; c < channels; ++c)
    scales.push_back(graph::weight_scale(elements.subspan(c * taps, taps), kSmallest));
  return quantize_weight(weight, std::move(scales));
}

/// Why a layer keeps its float weight; empty when it need not.
std::string reason_for_float(const Graph& graph, const Node& node, const DynamicOptions& options) {
  const Value& weight = graph.value(node.inputs[1]);
  if (!weight.is_constant()) return "its weight is not a constant (fold constants first)";
  if (node.inputs.size() > 2 && !graph.value(node.inputs[2]).is_constant())
    return "its bias is not a constant (fold constants first)";
  if (graph.value(node.inputs[0]).is_constant()) return "its input is a constant";
  if (weight.shape.size() < options.min_elements)
    return fmt::format("its weight has {} elements, fewer than {}", weight.shape.size(),
                       options.min_elements);
  if (!std::ranges::all_of(weight.elements<float>(), [](float w) { return std::isfinite(w); }))
    return "its weight is not finite";
  // 255 * 127 * taps fits into 32 bits.
  constexpr std::int64_t kMostTaps = 66'311;
  if (weight.shape.size() / weight.shape[0] > kMostTaps)
    return fmt::format("sums over {} products do not fit into 32 bits",
                       weight.shape.size() / weight.shape[0]);
  return {};
}

}  // namespace

Graph quantize_dynamic(const Graph& graph, const DynamicOptions& options,
                       std::vector<FloatNode>* left_float) {
  check(options.min_elements >= 0, "quantize: min_elements must not be negative, given {}",
        options.min_elements);
  check_float(graph);
  std::vector<FloatNode> left;
  constexpr ValueId kNone = -1;
  std::vector<ValueId> ids(graph.values().size(), kNone), quantized(ids);
  Graph result;
  for (ValueId id : graph.inputs())
    ids[static_cast<std::size_t>(id)] = result.add_input(graph.value(id).name, graph.value(id).shape);
  // Each constant once, in the form its reader wants.
  const auto operand = [&](ValueId id, bool as_codes) {
    ValueId& known = (as_codes ? quantized : ids)[static_cast<std::size_t>(id)];
    if (known == kNone)
      known = result.add_constant(as_codes ? dynamic_weight(graph.value(id)) : graph.value(id));
    return known;
  };
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const bool layer =
        std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op);
    const std::string reason = layer ? reason_for_float(graph, node, options) : std::string();
    if (!reason.empty()) left.push_back({i, reason});
    std::vector<ValueId> inputs;
    for (std::size_t k = 0; k < node.inputs.size(); ++k)
      inputs.push_back(operand(node.inputs[k], layer && reason.empty() && k == 1));
    ids[static_cast<std::size_t>(node.output)] = result.add_node(node.op, std::move(inputs), node.name);
  }
  std::vector<ValueId> outputs;
  for (ValueId id : graph.outputs()) outputs.push_back(operand(id, false));
  result.set_outputs(std::move(outputs));
  graph::verify(result);
  give(std::move(left), left_float);
  return result;
}

Graph to_half(const Graph& graph, std::vector<FloatNode>* left_float) {
  check_float(graph);
  Graph result = graph;
  std::vector<bool> stays(graph.values().size());
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    Value& value = result.value(static_cast<ValueId>(i));
    if (!value.is_constant()) continue;
    std::vector<std::uint16_t> halves;
    for (float x : value.elements<float>()) {
      halves.push_back(float_to_half(x));
      stays[i] = stays[i] || !(std::abs(half_to_float(halves.back())) <= kLargestHalf);
    }
    if (stays[i]) continue;
    value.dtype = Dtype::f16;
    value.data = graph::ConstantData::copy(std::as_bytes(std::span(halves)));
  }
  std::vector<FloatNode> left;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i)
    for (ValueId id : graph.nodes()[i].inputs)
      if (stays[static_cast<std::size_t>(id)])
        left.push_back(
            {i, fmt::format("constant {} has elements beyond {}", graph.value(id).name, kLargestHalf)});
  graph::verify(result);
  give(std::move(left), left_float);
  return result;
}

}  // namespace lathe::compress
