#include "rewrite.h"

#include <lathe/compress/passes.h>

namespace lathe::compress {
namespace {

using graph::Activation;
using graph::Node;

/// The activation that alone reads `node`'s output and can go into it, or null. Only clamps are fused: an
/// integer layer has no other, and its output's range must be known before a sigmoid or silu.
const Node* fusable(const Uses& uses, const Node& node) {
  const bool open = std::visit(
      [](const auto& op) {
        if constexpr (requires { op.activation; })
          return op.activation == Activation::none;
        else
          return false;
      },
      node.op);
  const Node* reader = open ? uses.only_reader(node.output) : nullptr;
  const auto* activate = reader != nullptr ? std::get_if<graph::Activate>(&reader->op) : nullptr;
  const bool clamp = activate != nullptr &&
                     (activate->activation == Activation::relu || activate->activation == Activation::relu6);
  return clamp ? reader : nullptr;
}

graph::Op with_activation(graph::Op op, Activation activation) {
  std::visit(
      [&](auto& some) {
        if constexpr (requires { some.activation; }) some.activation = activation;
      },
      op);
  return op;
}

}  // namespace

graph::Graph fuse_activations(const graph::Graph& graph) {
  const Uses uses(graph);
  Rewriter rewriter(graph);
  for (const Node& node : graph.nodes()) {
    if (std::holds_alternative<graph::Activate>(node.op)) {
      const Node* producer = uses.producer(node.inputs[0]);
      if (producer != nullptr && fusable(uses, *producer) == &node) continue;  // went into its producer
    }
    const Node* reader = fusable(uses, node);
    if (reader != nullptr)
      rewriter.put(*reader, with_activation(node.op, std::get<graph::Activate>(reader->op).activation),
                   rewriter.map(node.inputs), node.name);
    else
      rewriter.copy(node);
  }
  return rewriter.finish();
}

}  // namespace lathe::compress
