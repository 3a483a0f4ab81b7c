#include "lower.h"

#include <algorithm>
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

std::optional<Task> join_pool(const graph::Graph& graph, const Lowered& lowered, std::size_t index) {
  if (index + 1 >= lowered.tasks.size()) return {};
  const Task &conv = lowered.tasks[index], &next = lowered.tasks[index + 1];
  const auto* pool = std::get_if<graph::MaxPool2d>(&next.op);
  if (!std::holds_alternative<graph::Conv2d>(conv.op) || pool == nullptr || next.inputs[0] != conv.output)
    return {};
  // Readers may go by another name: a reshape of the same memory.
  const auto same = [&](graph::ValueId id) {
    return lowered.storage[static_cast<std::size_t>(id)] == conv.output;
  };
  if (std::ranges::any_of(graph.outputs(), same)) return {};
  const auto reads = [&](const Task& task) { return std::ranges::any_of(task.inputs, same); };
  if (std::ranges::count_if(lowered.tasks, reads) != 1) return {};
  Task joined = conv;
  joined.output = next.output;
  joined.pool = *pool;
  return joined;
}

}  // namespace lathe::runtime
