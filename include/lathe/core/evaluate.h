#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>

#include <span>
#include <vector>

namespace lathe {

/// Runs a float graph with the training kernels at the batch size of its inputs and returns its outputs. `observe` sees every
/// activation as it is made (inputs too): how calibration and parity runs look inside. Throws Error when an input's shape does not
/// fit or the graph has integer ops.
std::vector<Tensor> evaluate(const graph::Graph& graph, std::span<const Tensor> inputs,
                             FunctionRef<void(graph::ValueId, const Tensor&)> observe);
std::vector<Tensor> evaluate(const graph::Graph& graph, std::span<const Tensor> inputs);

}  // namespace lathe
