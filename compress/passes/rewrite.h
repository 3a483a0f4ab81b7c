#pragma once

#include <lathe/graph/graph.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace lathe::compress {

/// Builds a graph out of another one, node by node in order. Inputs are taken over at once, a constant when
/// something reads it.
class Rewriter {
 public:
  explicit Rewriter(const graph::Graph& from);

  /// The value of the new graph that stands for one of the old graph.
  graph::ValueId map(graph::ValueId old);
  std::vector<graph::ValueId> map(std::span<const graph::ValueId> old);
  /// From now on `old` is `now`.
  void replace(graph::ValueId old, graph::ValueId now);

  /// Appends `node` as it is.
  void copy(const graph::Node& node);
  /// Appends `op` on operands of the new graph in place of `node`: its output takes the place of `node`'s
  /// output and keeps its name, dtype and parameters, and the new node is called `name`.
  void put(const graph::Node& node, graph::Op op, std::vector<graph::ValueId> inputs, std::string name);

  graph::Graph& graph() { return to_; }
  /// The new graph with the outputs of the old one.
  graph::Graph finish();

 private:
  const graph::Graph& from_;
  graph::Graph to_;
  std::vector<graph::ValueId> ids_;  ///< by old id; -1 while there is none
};

/// Who makes and reads the values of a graph.
class Uses {
 public:
  explicit Uses(const graph::Graph& graph);

  /// The node that makes a value; null for inputs and constants.
  const graph::Node* producer(graph::ValueId id) const { return producers_[static_cast<std::size_t>(id)]; }
  /// The node that alone reads a value, once; null when there are none or several or it is an output of the
  /// graph.
  const graph::Node* only_reader(graph::ValueId id) const;

 private:
  std::vector<const graph::Node*> producers_, readers_;
  std::vector<int> counts_;
};

}  // namespace lathe::compress
