#pragma once

#include <lathe/graph/graph.h>
#include <lathe/layers/module.h>

namespace lathe::compress {

/// The graph of a module in eval mode, its parameters and buffers as named constants. `input` is [1,H,W,C].
/// Nothing is optimised yet. The module's training mode is the same afterwards.
graph::Graph trace(layers::Module& module, const Shape& input);

/// trace(), then all float passes (passes.h). Ends with a parity run: the graph's output on random images
/// must be the module's within 1e-3 relative to the largest output, else Error.
graph::Graph export_float(layers::Module& module, const Shape& input);

}  // namespace lathe::compress
