#pragma once

#include <lathe/graph/graph.h>

/// Passes: Graph -> Graph, each verified by `optimize`. None changes what the graph computes (up to rounding).
namespace lathe::compress {

/// Nodes whose inputs are all constants become constants.
graph::Graph fold_constants(const graph::Graph& graph);

/// Batch norm after a convolution or linear layer without activation goes into its weight and bias:
/// w' = w * g, b' = beta + (b - mean) * g, g = gamma / sqrt(variance + epsilon). Elsewhere it stays.
graph::Graph fold_batch_norm(const graph::Graph& graph);

/// An activation whose input has no other reader goes into the op before it (convolution, linear, add, batch norm).
graph::Graph fuse_activations(const graph::Graph& graph);

/// A pad whose output feeds one convolution goes into that convolution's padding where it is expressible.
graph::Graph fuse_padding(const graph::Graph& graph);

/// Values and nodes that no output depends on disappear.
graph::Graph remove_dead_code(const graph::Graph& graph);

/// All of the above in the order that gives the smallest graph. Throws Error with the pass's name when one breaks the graph.
graph::Graph optimize(graph::Graph graph);

}  // namespace lathe::compress
