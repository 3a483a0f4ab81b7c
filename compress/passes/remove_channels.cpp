#include "rewrite.h"

#include <lathe/compress/passes.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace lathe::compress {
namespace {

using graph::Activation;
using graph::Graph;
using graph::Node;
using graph::Value;
using graph::ValueId;

/// Output channels first, input channels last; float constants, no groups.
bool is_layer(const Graph& graph, const Node& node) {
  const auto* conv = std::get_if<graph::Conv2d>(&node.op);
  if (!(conv != nullptr && conv->groups == 1) && !std::holds_alternative<graph::Linear>(node.op))
    return false;
  return std::all_of(node.inputs.begin() + 1, node.inputs.end(), [&](ValueId id) {
    return graph.value(id).is_constant() && graph.value(id).dtype == Dtype::f32;
  });
}

Activation activation_of(const Node& node) {
  const auto* conv = std::get_if<graph::Conv2d>(&node.op);
  return conv != nullptr ? conv->activation : std::get<graph::Linear>(node.op).activation;
}

/// Does it make each channel from the same channel of its input alone, and zeros from zeros?
bool keeps_channels(const graph::Op& op) {
  if (const auto* activate = std::get_if<graph::Activate>(&op))
    return activate->activation == Activation::relu || activate->activation == Activation::relu6;
  return std::holds_alternative<graph::MaxPool2d>(op) || std::holds_alternative<graph::AvgPool2d>(op) ||
         std::holds_alternative<graph::GlobalAvgPool>(op);
}

/// [1,H,W,C] to [1,H*W*C]: channel c is the columns c, C + c, 2C + c, ...
bool flattens(const Graph& graph, const Node& node) {
  const Shape& from = graph.value(node.inputs[0]).shape;
  const Shape& to = graph.value(node.output).shape;
  return std::holds_alternative<graph::Reshape>(node.op) && from.rank() == 4 && to.rank() == 2 &&
         to[0] == from[0];
}

/// A layer, what hands its output on, and the layer that alone reads that.
struct Link {
  const Node* from = nullptr;
  std::vector<const Node*> between;
  const Node* to = nullptr;
};

std::optional<Link> follow(const Graph& graph, const Uses& uses, const Node& from) {
  if (!is_layer(graph, from)) return {};
  Link link{.from = &from};
  for (const Node* reader = uses.only_reader(from.output); reader != nullptr;
       reader = uses.only_reader(reader->output)) {
    if (is_layer(graph, *reader)) {
      if (reader->inputs[1] == from.inputs[1]) return {};  // one weight for both
      link.to = reader;
      return link;
    }
    if (!keeps_channels(reader->op) && !flattens(graph, *reader)) return {};
    link.between.push_back(reader);
  }
  return {};
}

bool all_zero(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return value == 0; });
}

/// By output channel of link.from: is something of it needed? Not if it is 0 whatever the input, nor if
/// nobody weighs it. One channel is kept in any case.
std::vector<bool> needed(const Graph& graph, const Link& link) {
  const Value& weight = graph.value(link.from->inputs[1]);
  const auto elements = weight.elements<float>();
  const auto channels = static_cast<std::size_t>(weight.shape[0]), taps = elements.size() / channels;
  const Activation activation = activation_of(*link.from);
  // Within the layer or as an op of its own; keeps_channels() lets no other one pass.
  const bool clamps =
      activation == Activation::relu || activation == Activation::relu6 ||
      (activation == Activation::none && std::ranges::any_of(link.between, [](const Node* node) {
         return std::holds_alternative<graph::Activate>(node->op);
       }));
  std::vector<bool> result(channels, false);
  for (std::size_t c = 0; c < channels; ++c) {
    const float bias =
        link.from->inputs.size() > 2 ? graph.value(link.from->inputs[2]).elements<float>()[c] : 0;
    const bool zero = (clamps && bias <= 0) || (activation == Activation::none && bias == 0);
    if (zero && all_zero(elements.subspan(c * taps, taps))) continue;
    const auto reads = graph.value(link.to->inputs[1]).elements<float>();
    for (std::size_t i = c; i < reads.size(); i += channels) result[c] = result[c] || reads[i] != 0;
  }
  if (std::ranges::none_of(result, [](bool each) { return each; })) result[0] = true;
  return result;
}

/// The constant with only the wanted ones of each run of wanted.size() elements; `axis` becomes shorter.
Value thinned(const Value& value, std::size_t axis, std::size_t run, const std::vector<bool>& wanted) {
  const auto elements = value.elements<float>();
  std::vector<float> kept;
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (wanted[i / run % wanted.size()]) kept.push_back(elements[i]);
  Value result = value;
  result.shape = value.shape.with(axis, value.shape[axis] * static_cast<std::int64_t>(kept.size()) /
                                            static_cast<std::int64_t>(elements.size()));
  result.data = graph::ConstantData::copy(std::as_bytes(std::span(kept)));
  return result;
}

Graph remove(const Graph& graph, const Link& link, const std::vector<bool>& wanted) {
  std::map<ValueId, Value> constants;
  const Value& made = graph.value(link.from->inputs[1]);
  constants[link.from->inputs[1]] =
      thinned(made, 0, static_cast<std::size_t>(made.shape.size() / made.shape[0]), wanted);
  if (link.from->inputs.size() > 2)
    constants[link.from->inputs[2]] = thinned(graph.value(link.from->inputs[2]), 0, 1, wanted);
  const Value& read = graph.value(link.to->inputs[1]);
  constants[link.to->inputs[1]] = thinned(read, read.shape.rank() - 1, 1, wanted);

  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    std::vector<ValueId> inputs;
    for (ValueId id : node.inputs) {
      const auto changed = constants.find(id);
      const bool here = changed != constants.end() && (&node == link.from || &node == link.to);
      inputs.push_back(here ? rewriter.graph().add_constant(changed->second) : rewriter.map(id));
    }
    graph::Op op = node.op;
    if (auto* reshape = std::get_if<graph::Reshape>(&op);
        reshape != nullptr && std::ranges::find(link.between, &node) != link.between.end())
      reshape->dims.back() = rewriter.graph().value(inputs[0]).shape.size();
    rewriter.put(node, std::move(op), std::move(inputs), node.name);
  }
  return rewriter.finish();
}

}  // namespace

Graph remove_channels(const Graph& graph) {
  Graph result = graph;
  for (std::size_t i = 0; i < result.nodes().size(); ++i) {
    // From the last layer to the first: what a layer no longer reads, the one before need not make.
    const Uses uses(result);
    const auto link = follow(result, uses, result.nodes()[result.nodes().size() - 1 - i]);
    if (!link) continue;
    const std::vector<bool> wanted = needed(result, *link);
    if (std::ranges::find(wanted, false) != wanted.end()) result = remove(result, *link, wanted);
  }
  return result;
}

}  // namespace lathe::compress
