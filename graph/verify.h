#pragma once

#include <lathe/base/error.h>
#include <lathe/graph/graph.h>

namespace lathe::graph {

/// One value alone: parameters of its quantization, bytes of its constant.
void verify_value(const Value& value, ValueId id);

/// Dtypes and quantization of what a node reads and writes; the shapes are known to agree.
void verify_types(const Graph& graph, const Node& node);

}  // namespace lathe::graph
