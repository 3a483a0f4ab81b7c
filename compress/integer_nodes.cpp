#include "integer_nodes.h"

#include <lathe/base/error.h>

#include <algorithm>

namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

/// Is its first operand the activation, and the others constants?
bool has_weights(const graph::Op& op) {
  return std::holds_alternative<graph::Conv2d>(op) || std::holds_alternative<graph::Linear>(op) ||
         std::holds_alternative<graph::BatchNorm>(op);
}

/// What is fused into a layer or an addition must be a clamp: everything else needs the range before it.
graph::Activation fused_activation(const graph::Op& op) {
  return std::visit(
      [](const auto& some) {
        if constexpr (requires { some.activation; } &&
                      !std::is_same_v<std::decay_t<decltype(some)>, graph::Activate>)
          return some.activation;
        else
          return graph::Activation::none;
      },
      op);
}

bool is_clamp(graph::Activation activation) {
  return activation == graph::Activation::none || activation == graph::Activation::relu ||
         activation == graph::Activation::relu6;
}

/// Why the op has no integer form, whatever the ranges are.
std::optional<std::string> reason_of_op(const Graph& graph, const Node& node) {
  if (std::holds_alternative<graph::BatchNorm>(node.op) && graph.value(node.output).shape.rank() != 4)
    return "of anything but images it has no integer form where it cannot be folded into a layer before it";
  if (!deployable(node.op) || std::holds_alternative<graph::Quantize>(node.op) ||
      std::holds_alternative<graph::Dequantize>(node.op))
    return "it has no integer form";
  if (const auto activation = fused_activation(node.op); !is_clamp(activation))
    return fmt::format("activation {} is not possible in integers", to_string(activation));
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const bool constant = graph.value(node.inputs[i]).is_constant();
    if (constant != (has_weights(node.op) && i > 0))
      return fmt::format("operand {} is {} constant (fold constants first)", i, constant ? "a" : "not a");
  }
  return {};
}

std::optional<Range> unite(const std::optional<Range>& a, const std::optional<Range>& b) {
  if (!a || !b) return {};
  return Range{std::min(a->min, b->min), std::max(a->max, b->max)};
}

class Completion {
 public:
  Completion(const Graph& graph, Ranges ranges)
      : graph_(graph), ranges_(std::move(ranges)), readers_(graph.values().size()) {
    for (const Node& node : graph.nodes())
      for (ValueId id : node.inputs) ++readers_[static_cast<std::size_t>(id)];
    for (ValueId id : graph.outputs()) ++readers_[static_cast<std::size_t>(id)];
  }

  Ranges run() {
    do {
      changed_ = false;
      for (const Node& node : graph_.nodes()) forward(node);
      for (std::size_t i = graph_.nodes().size(); i-- > 0;) backward(graph_.nodes()[i]);
    } while (changed_);
    return std::move(ranges_);
  }

 private:
  std::optional<Range>& range(ValueId id) { return ranges_[static_cast<std::size_t>(id)]; }

  void set(ValueId id, const std::optional<Range>& known) {
    if (range(id) || !known || graph_.value(id).is_constant()) return;
    range(id) = known;
    changed_ = true;
  }

  void forward(const Node& node) {
    if (std::holds_alternative<graph::LogSoftmax>(node.op)) {
      set(node.output, Range{-16, 0});
    } else if (graph::fixed_parameters(node.op, 8)) {
      set(node.output, Range{0, 1});
    } else if (hands_on(node.op)) {
      std::optional<Range> known = range(node.inputs[0]);
      for (ValueId id : node.inputs) known = unite(known, range(id));
      set(node.output, known);
    }
  }

  /// Clamping before such an op is the same as after it: but for the mean, and where others read the value.
  void backward(const Node& node) {
    if (!hands_on(node.op) || std::holds_alternative<graph::AvgPool2d>(node.op)) return;
    for (ValueId id : node.inputs)
      if (readers_[static_cast<std::size_t>(id)] == 1) set(id, range(node.output));
  }

  const Graph& graph_;
  Ranges ranges_;
  std::vector<int> readers_;
  bool changed_ = false;
};

}  // namespace

bool hands_on(const graph::Op& op) {
  return std::holds_alternative<graph::MaxPool2d>(op) || std::holds_alternative<graph::AvgPool2d>(op) ||
         std::holds_alternative<graph::Reshape>(op) || std::holds_alternative<graph::Concat>(op) ||
         std::holds_alternative<graph::Pad>(op);
}

Ranges complete_ranges(const Graph& graph, Ranges ranges) {
  return Completion(graph, std::move(ranges)).run();
}

Reasons reasons_for_float(const Graph& graph, const Ranges& ranges) {
  Reasons reasons;
  for (const Node& node : graph.nodes()) {
    std::optional<std::string>& reason = reasons.emplace_back(reason_of_op(graph, node));
    const auto known = [&](ValueId id) {
      return graph.value(id).is_constant() || ranges[static_cast<std::size_t>(id)].has_value();
    };
    for (std::size_t i = 0; i < node.inputs.size() && !reason; ++i)
      if (!known(node.inputs[i])) reason = fmt::format("operand {} has no range", i);
    if (!reason && !known(node.output)) reason = "its output has no range";
  }
  return reasons;
}

}  // namespace lathe::compress
