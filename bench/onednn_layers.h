#pragma once

#include <lathe/graph/graph.h>

#include <functional>

namespace bench {

/// A graph of one convolution or linear layer as oneDNN runs it on one thread: NHWC in and out, weights in
/// the layout that it likes best, bias, relu; 8-bit graphs with u8 inputs and s8 weights. Its input is the
/// memory that `input` is given, so that the caller can write it before each run. Empty for everything else.
struct OneDnnLayer {
  std::function<void()> run;
  std::span<std::byte> input;
};
OneDnnLayer onednn_layer(const lathe::graph::Graph& graph);

}  // namespace bench
