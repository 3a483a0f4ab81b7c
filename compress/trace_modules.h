#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/compress/trace.h>

namespace lathe::compress {

/// trace(), with a call see(module, value) for the output of every module, innermost modules first.
graph::Graph trace_modules(layers::Module& module, const Shape& input,
                           FunctionRef<void(layers::Module&, graph::ValueId)> see);

/// The graph's outputs on random images must be the module's (as export_float checks), else Error.
void check_parity(const graph::Graph& graph, layers::Module& module, const Shape& input);

}  // namespace lathe::compress
