#pragma once

#include <lathe/graph/graph.h>

#include <vector>

namespace lathe::compress {

/// y = scale * x + shift for each channel: what a batch norm of constants computes.
struct Affine {
  std::vector<double> scale, shift;
};

Affine affine(const graph::Graph& graph, const graph::Node& norm);

}  // namespace lathe::compress
