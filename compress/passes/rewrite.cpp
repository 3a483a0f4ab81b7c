#include "rewrite.h"

#include <cassert>

namespace lathe::compress {

using graph::Graph;
using graph::Node;
using graph::ValueId;

Rewriter::Rewriter(const Graph& from) : from_(from), ids_(from.values().size(), -1) {
  for (ValueId id : from.inputs()) {
    const graph::Value& value = from.value(id);
    const ValueId now = to_.add_input(value.name, value.shape, value.dtype);
    to_.value(now).quantization = value.quantization;
    replace(id, now);
  }
}

ValueId Rewriter::map(ValueId old) {
  ValueId& now = ids_[static_cast<std::size_t>(old)];
  if (now < 0) {
    assert(from_.value(old).is_constant());
    now = to_.add_constant(from_.value(old));
  }
  return now;
}

std::vector<ValueId> Rewriter::map(std::span<const ValueId> old) {
  std::vector<ValueId> result;
  for (ValueId id : old) result.push_back(map(id));
  return result;
}

void Rewriter::replace(ValueId old, ValueId now) { ids_[static_cast<std::size_t>(old)] = now; }

void Rewriter::copy(const Node& node) { put(node, node.op, map(node.inputs), node.name); }

void Rewriter::put(const Node& node, graph::Op op, std::vector<ValueId> inputs, std::string name) {
  const graph::Value& output = from_.value(node.output);
  const ValueId now =
      to_.add_node(std::move(op), std::move(inputs), std::move(name), output.dtype, output.quantization);
  to_.value(now).name = output.name;
  replace(node.output, now);
}

Graph Rewriter::finish() {
  to_.set_outputs(map(from_.outputs()));
  return std::move(to_);
}

Uses::Uses(const Graph& graph)
    : producers_(graph.values().size()), readers_(graph.values().size()), counts_(graph.values().size()) {
  for (const Node& node : graph.nodes()) {
    producers_[static_cast<std::size_t>(node.output)] = &node;
    for (ValueId id : node.inputs) {
      readers_[static_cast<std::size_t>(id)] = &node;
      ++counts_[static_cast<std::size_t>(id)];
    }
  }
  for (ValueId id : graph.outputs()) {
    readers_[static_cast<std::size_t>(id)] = nullptr;
    ++counts_[static_cast<std::size_t>(id)];
  }
}

const Node* Uses::only_reader(ValueId id) const {
  const auto index = static_cast<std::size_t>(id);
  return counts_[index] == 1 ? readers_[index] : nullptr;
}

}  // namespace lathe::compress
