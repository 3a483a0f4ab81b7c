#pragma once

#include "integer_nodes.h"

namespace lathe::compress {

/// Of u8 images, less 128: real = pixel / 255.
inline const graph::Quantization kPixels{{1.f / 255}, -128};

/// Scale and zero point of every value of a float graph that has a range, by ValueId (no scale for the
/// others). `stay_float` says which nodes are none of the integers' business; the rest share parameters where
/// they hand numbers on, have fixed ones, or such that follow from the ranges.
std::vector<graph::Quantization> choose_parameters(const graph::Graph& graph, const Ranges& ranges,
                                                   const Reasons& stay_float, const QuantizeOptions& options);

}  // namespace lathe::compress
