#pragma once

#include <lathe/graph/graph.h>

#include <vector>

namespace lathe::compress {

/// An optimised graph and where its activations come from.
struct Followed {
  graph::Graph graph;
  std::vector<graph::ValueId> origins;  ///< by ValueId: in the graph before, -1 for constants
};

/// optimize(), keeping track of values: that of a fused pattern is the output of its last op.
Followed optimize_followed(graph::Graph graph);

}  // namespace lathe::compress
