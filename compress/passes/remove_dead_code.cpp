#include "rewrite.h"

#include <lathe/compress/passes.h>

namespace lathe::compress {

graph::Graph remove_dead_code(const graph::Graph& graph) {
  std::vector<bool> needed(graph.values().size());
  for (graph::ValueId id : graph.outputs()) needed[static_cast<std::size_t>(id)] = true;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const graph::Node& node = graph.nodes()[i];
    if (!needed[static_cast<std::size_t>(node.output)]) continue;
    for (graph::ValueId id : node.inputs) needed[static_cast<std::size_t>(id)] = true;
  }
  Rewriter rewriter(graph);
  for (const graph::Node& node : graph.nodes())
    if (needed[static_cast<std::size_t>(node.output)]) rewriter.copy(node);
  return rewriter.finish();
}

}  // namespace lathe::compress
