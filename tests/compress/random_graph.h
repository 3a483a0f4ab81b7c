#pragma once

#include <lathe/base/random.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>

/// A small valid float graph with what passes look for: convolutions with and without bias, groups, batch
/// norm and pads, activations in every place, residuals, gates, concatenations, masked weights, values read
/// twice and values read by none. Input "x" [1,H,W,C] with small extents; the same seed gives the same graph.
lathe::graph::Graph random_graph(std::uint64_t seed);

/// An input for it, batch size `batch`, uniform in [-1, 1).
lathe::Tensor random_input(const lathe::graph::Graph& graph, std::int64_t batch, std::uint64_t seed);
