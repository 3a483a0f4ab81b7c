#include "follow.h"

#include <string>

namespace lathe::compress {

Followed optimize_followed(graph::Graph graph, std::span<const Pass> then) {
  // Passes keep the names of values, and activations have none of their own.
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const graph::ValueId id = graph.nodes()[i].output;
    graph.value(id).name = std::to_string(id);
  }
  Followed result{run_passes(optimize(graph), then), {}};
  result.origins.resize(result.graph.values().size(), -1);
  for (std::size_t i = 0; i < graph.inputs().size(); ++i)
    result.origins[static_cast<std::size_t>(result.graph.inputs()[i])] = graph.inputs()[i];
  for (std::size_t i = 0; i < result.graph.nodes().size(); ++i) {
    const graph::ValueId id = result.graph.nodes()[i].output;
    result.origins[static_cast<std::size_t>(id)] = std::stoi(result.graph.value(id).name);
    result.graph.value(id).name.clear();
  }
  return result;
}

}  // namespace lathe::compress
