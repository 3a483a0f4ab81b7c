#pragma once

#include <lathe/base/error.h>
#include <lathe/graph/graph.h>

namespace lathe::graph {

/// One value alone: parameters of its quantization, bytes of its constant.
void verify_value(const Value& value, ValueId id);

}  // namespace lathe::graph
