#pragma once

#include <lathe/graph/graph.h>

#include <optional>
#include <vector>

namespace lathe::runtime {

/// One kernel call to be: an op of the graph, or a part of one.
struct Task {
  graph::Op op;
  std::vector<graph::ValueId> inputs;
  graph::ValueId output = -1;
  std::size_t node = 0;                  ///< index of the node it comes from
  std::size_t part = 0;                  ///< of a concat: which input is copied
  std::optional<graph::MaxPool2d> pool;  ///< done together with the convolution; `output` is then the pool's
};

/// A graph as kernels see it.
struct Lowered {
  std::vector<Task> tasks;  ///< in an order in which they can run
  /// By value: the value in whose memory it lies (itself, or the input of a chain of reshapes).
  std::vector<graph::ValueId> storage;
};

/// Reshapes become shared memory, a concat becomes one copy for each input, a fused sigmoid or silu becomes a
/// step of its own in place. What the graph computes does not change.
Lowered lower(const graph::Graph& graph);

/// The task that does a convolution and the maximum pool after it at once, if task `index` is a convolution
/// whose output only the pool in the next task reads.
std::optional<Task> join_pool(const graph::Graph& graph, const Lowered& lowered, std::size_t index);

}  // namespace lathe::runtime
