#pragma once

#include <lathe/compress/quantize.h>

namespace lathe::compress {

/// Scale and zero point of every activation of a float graph, by ValueId. Ops that hand numbers on (pooling,
/// reshape, concat, pad) share those of their inputs, some outputs have fixed ones, the rest follow from the
/// ranges. Throws Error naming a node without an integer form.
std::vector<graph::Quantization> choose_parameters(const graph::Graph& graph, std::span<const Range> ranges,
                                                   const QuantizeOptions& options);

/// int8_parameters() with a scale of at least `smallest`.
graph::Quantization int8_parameters(Range range, double smallest);

}  // namespace lathe::compress
