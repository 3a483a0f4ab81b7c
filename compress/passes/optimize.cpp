#include <lathe/base/error.h>
#include <lathe/compress/passes.h>

#include <array>

namespace lathe::compress {

graph::Graph run_passes(graph::Graph graph, std::span<const Pass> passes) {
  graph::verify(graph);
  for (const Pass& pass : passes) {
    try {
      graph = pass.run(graph);
      graph::verify(graph);
    } catch (const Error& error) {
      fail("pass {}: {}", pass.name, error.what());
    }
  }
  return graph;
}

graph::Graph optimize(graph::Graph graph) {
  // Constants first, for they are what the others need; activations after batch norm, which stands between
  // them and the layer.
  constexpr std::array kPasses = {
      Pass{"fold_constants", fold_constants},     Pass{"fuse_padding", fuse_padding},
      Pass{"fold_batch_norm", fold_batch_norm},   Pass{"fuse_activations", fuse_activations},
      Pass{"remove_dead_code", remove_dead_code},
  };
  // A pass that changes anything leaves fewer nodes, so this ends.
  std::size_t before = 0;
  do {
    before = graph.nodes().size();
    graph = run_passes(std::move(graph), kPasses);
  } while (graph.nodes().size() < before);
  return graph;
}

}  // namespace lathe::compress
