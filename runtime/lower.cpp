#include "lower.h"

#include <numeric>

namespace lathe::runtime {

namespace {

/// Takes a fused activation that is not a clamp out of the op and returns it, else none.
graph::Activation split_activation(graph::Op& op) {
  return std::visit(
      [](auto& some) {
        auto result = graph::Activation::none;
        if constexpr (requires { some.activation; } &&
                      !std::is_same_v<std::decay_t<decltype(some)>, graph::Activate>) {
          if (some.activation == graph::Activation::sigmoid || some.activation == graph::Activation::silu)
            std::swap(result, some.activation);
        }
        return result;
      },
      op);
}

void lower_node(const graph::Graph& graph, std::size_t index, Lowered& result) {
  const graph::Node& node = graph.nodes()[index];
  Task task{.op = node.op, .inputs = node.inputs, .output = node.output, .node = index};
  if (std::holds_alternative<graph::Reshape>(node.op)) {
    result.storage[static_cast<std::size_t>(node.output)] =
        result.storage[static_cast<std::size_t>(node.inputs[0])];
    return;
  }
  if (std::holds_alternative<graph::Concat>(node.op)) {
    for (; task.part < node.inputs.size(); ++task.part) result.tasks.push_back(task);
    return;
  }
  const graph::Activation activation = split_activation(task.op);
  result.tasks.push_back(task);
  if (activation == graph::Activation::none) return;
  result.tasks.push_back(
      {.op = graph::Activate{activation}, .inputs = {node.output}, .output = node.output, .node = index});
}

}  // namespace

Lowered lower(const graph::Graph& graph) {
  Lowered result;
  result.storage.resize(graph.values().size());
  std::iota(result.storage.begin(), result.storage.end(), 0);
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) lower_node(graph, i, result);
  return result;
}

}  // namespace lathe::runtime
