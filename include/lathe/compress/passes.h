#pragma once

#include <lathe/graph/graph.h>

#include <span>
#include <string_view>

/// Passes: Graph -> Graph, each verified by `optimize`. None changes what the graph computes (up to
/// rounding).
namespace lathe::compress {

/// Nodes whose inputs are all constants become constants.
graph::Graph fold_constants(const graph::Graph& graph);

/// Batch norm after a convolution or linear layer without activation goes into its weight and bias:
/// w' = w * g, b' = beta + (b - mean) * g, g = gamma / sqrt(variance + epsilon). Elsewhere it stays.
graph::Graph fold_batch_norm(const graph::Graph& graph);

/// A relu or relu6 whose input has no other reader goes into the op before it (convolution, linear, add,
/// batch norm). Sigmoid and silu stay: an integer layer clamps only, and they need the range of their input.
graph::Graph fuse_activations(const graph::Graph& graph);

/// A pad whose output feeds one convolution goes into that convolution's padding where it is expressible.
graph::Graph fuse_padding(const graph::Graph& graph);

/// Values and nodes that no output depends on disappear.
graph::Graph remove_dead_code(const graph::Graph& graph);

/// A convolution or linear layer whose output only another one reads, through pooling, relu or flattening at
/// most, loses the output channels that are 0 whatever the input (no weights, and a bias that relu stops), and
/// those that nothing weighs; the reader loses its weights for them. So pruned models get thinner. Not part of
/// optimize(): weights do not keep their shapes.
graph::Graph remove_channels(const graph::Graph& graph);

/// A pass and the name that errors call it by.
struct Pass {
  std::string_view name;
  graph::Graph (*run)(const graph::Graph&) = nullptr;
};

/// Runs passes one after the other with verify() after each. Throws Error with the pass's name when one
/// breaks the graph.
graph::Graph run_passes(graph::Graph graph, std::span<const Pass> passes);

/// The passes above but remove_channels(), in the order that gives the smallest graph, as often as they find something.
graph::Graph optimize(graph::Graph graph);

}  // namespace lathe::compress
