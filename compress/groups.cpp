#include "groups.h"

#include <algorithm>

namespace lathe::compress {
namespace {

void join_parts(Sharing& sharing, const graph::Node& node) {
  const auto fixed = [&](graph::ValueId id) { return sharing.fixed[sharing.groups.find(id)]; };
  const auto first = fixed(node.inputs[0]);
  const bool alike = std::ranges::all_of(node.inputs, [&](graph::ValueId id) { return fixed(id) == first; });
  for (graph::ValueId id : node.inputs)
    if (alike || !fixed(id)) sharing.groups.join(node.output, id);
}

}  // namespace

Sharing share_parameters(const graph::Graph& graph, const Reasons& stay_float,
                         const std::optional<graph::Quantization>& inputs, int bits) {
  const std::size_t values = graph.values().size();
  Sharing sharing{Groups(values), std::vector<std::optional<graph::Quantization>>(values)};
  for (graph::ValueId id : graph.inputs()) sharing.fixed[sharing.groups.find(id)] = inputs;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const graph::Node& node = graph.nodes()[i];
    if (stay_float[i]) continue;
    sharing.fixed[sharing.groups.find(node.output)] = graph::fixed_parameters(node.op, bits);
    if (std::holds_alternative<graph::Concat>(node.op))
      join_parts(sharing, node);
    else if (hands_on(node.op))
      sharing.groups.join(node.output, node.inputs[0]);
  }
  return sharing;
}

}  // namespace lathe::compress
