#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <span>

namespace lathe {

/// Shows an operation that has just run to the active TraceScope.
void trace_op(const graph::Op& op, std::span<const Tensor> inputs, const Tensor& output);

}  // namespace lathe
