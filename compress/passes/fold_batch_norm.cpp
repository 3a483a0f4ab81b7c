#include "affine.h"
#include "rewrite.h"

#include <lathe/compress/passes.h>

namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::Value;
using graph::ValueId;

bool is_constant(const Graph& graph, const Node& node, std::size_t first) {
  for (std::size_t i = first; i < node.inputs.size(); ++i)
    if (!graph.value(node.inputs[i]).is_constant()) return false;
  return true;
}

/// The convolution or linear layer that `norm` can go into, or null.
const Node* foldable(const Graph& graph, const Uses& uses, const Node& norm) {
  if (!std::holds_alternative<graph::BatchNorm>(norm.op) || !is_constant(graph, norm, 1)) return nullptr;
  const Node* layer = uses.producer(norm.inputs[0]);
  if (layer == nullptr || uses.only_reader(layer->output) != &norm || !is_constant(graph, *layer, 1))
    return nullptr;
  const auto* conv = std::get_if<graph::Conv2d>(&layer->op);
  const auto* linear = std::get_if<graph::Linear>(&layer->op);
  const bool plain = (conv != nullptr && conv->activation == graph::Activation::none) ||
                     (linear != nullptr && linear->activation == graph::Activation::none);
  return plain ? layer : nullptr;
}

/// "conv.weight" -> "conv.bias"
std::string bias_name(const std::string& weight) {
  const std::size_t dot = weight.rfind('.');
  return dot == std::string::npos ? "bias" : weight.substr(0, dot + 1) + "bias";
}

void put_folded(const Graph& graph, const Node& layer, const Node& norm, Rewriter& rewriter) {
  const Affine map = affine(graph, norm);
  const Value& weight = graph.value(layer.inputs[1]);
  const std::size_t channels = map.scale.size();
  const auto before = weight.elements<float>();
  const std::size_t taps = before.size() / channels;
  std::vector<float> folded(before.size()), bias(channels);
  for (std::size_t i = 0; i < folded.size(); ++i)
    folded[i] = static_cast<float>(static_cast<double>(before[i]) * map.scale[i / taps]);
  const bool biased = layer.inputs.size() > 2;
  for (std::size_t c = 0; c < channels; ++c) {
    const double b = biased ? static_cast<double>(graph.value(layer.inputs[2]).elements<float>()[c]) : 0;
    bias[c] = static_cast<float>(b * map.scale[c] + map.shift[c]);
  }
  const std::string name = biased ? graph.value(layer.inputs[2]).name : bias_name(weight.name);
  graph::Op op = layer.op;
  std::visit(
      [&](auto& some) {
        if constexpr (requires { some.activation; })
          some.activation = std::get<graph::BatchNorm>(norm.op).activation;
      },
      op);
  const ValueId x = rewriter.map(layer.inputs[0]);
  const ValueId w = rewriter.graph().add_constant(weight.name, weight.shape, folded);
  const ValueId b = rewriter.graph().add_constant(name, {static_cast<std::int64_t>(channels)}, bias);
  rewriter.put(norm, std::move(op), {x, w, b}, layer.name);
}

}  // namespace

graph::Graph fold_batch_norm(const graph::Graph& graph) {
  const Uses uses(graph);
  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    const Node* reader = uses.only_reader(node.output);
    if (reader != nullptr && foldable(graph, uses, *reader) == &node) continue;  // comes with its reader
    if (const Node* layer = foldable(graph, uses, node))
      put_folded(graph, *layer, node, rewriter);
    else
      rewriter.copy(node);
  }
  return rewriter.finish();
}

}  // namespace lathe::compress
