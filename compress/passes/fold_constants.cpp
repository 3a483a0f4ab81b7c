#include "rewrite.h"

#include <lathe/compress/passes.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>

namespace lathe::compress {

graph::Graph fold_constants(const graph::Graph& graph) {
  const NoGrad no_grad;
  Rewriter rewriter(graph);
  for (const graph::Node& node : graph.nodes()) {
    const std::vector<graph::ValueId> inputs = rewriter.map(node.inputs);
    // Integers are left to the runtime, which defines their arithmetic.
    const bool known = std::ranges::all_of(inputs, [&](graph::ValueId id) {
      const graph::Value& value = rewriter.graph().value(id);
      return value.is_constant() && value.dtype == Dtype::f32;
    });
    if (!known || graph.value(node.output).dtype != Dtype::f32) {
      rewriter.copy(node);
      continue;
    }
    std::vector<Tensor> tensors;
    for (graph::ValueId id : inputs) {
      const graph::Value& value = rewriter.graph().value(id);
      tensors.push_back(Tensor::from(value.elements<float>(), value.shape));
    }
    const Tensor result = lathe::apply(node.op, tensors);
    // What a weight is made of gives its name to the result: conv.weight * mask is conv.weight.
    rewriter.replace(node.output, rewriter.graph().add_constant(rewriter.graph().value(inputs[0]).name,
                                                                result.shape(), result.span<float>()));
  }
  return remove_dead_code(rewriter.finish());
}

}  // namespace lathe::compress
