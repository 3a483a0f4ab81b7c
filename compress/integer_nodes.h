#pragma once

#include <lathe/compress/quantize.h>

#include <optional>
#include <string>
#include <vector>

/// Which nodes of a float graph can run in integers.
namespace lathe::compress {

/// Does the output have the parameters of the input? Pooling, reshape, concat, pad.
bool hands_on(const graph::Op& op);

/// The ranges given and those that follow from them: outputs with fixed parameters, and values before and
/// behind ops that hand numbers on.
Ranges complete_ranges(const graph::Graph& graph, Ranges ranges);

/// By node: why it has to stay float, or nothing when it can run in integers. `ranges` are complete.
using Reasons = std::vector<std::optional<std::string>>;
Reasons reasons_for_float(const graph::Graph& graph, const Ranges& ranges);

}  // namespace lathe::compress
