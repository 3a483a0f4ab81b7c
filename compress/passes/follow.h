#pragma once

#include <lathe/compress/passes.h>
#include <lathe/graph/graph.h>

#include <span>
#include <vector>

namespace lathe::compress {

/// An optimised graph and where its activations come from.
struct Followed {
  graph::Graph graph;
  std::vector<graph::ValueId> origins;  ///< by ValueId: in the graph before, -1 for constants
};

/// optimize(), and `then`, keeping track of values: that of a fused pattern is the output of its last op.
Followed optimize_followed(graph::Graph graph, std::span<const Pass> then = {});

}  // namespace lathe::compress
