#include <lathe/graph/graph.h>

#include <fmt/format.h>

namespace lathe::graph {
namespace {

/// "i8[1,26,26,32] scale 0.0235 zero -128"
std::string type_text(const Value& value) {
  std::string text = fmt::format("{}{}", to_string(value.dtype), to_string(value.shape));
  if (value.quantization) {
    const Quantization& q = *value.quantization;
    // Four digits: enough to see a change, few enough to be the same wherever the ranges were measured.
    text += q.scale.size() == 1 ? fmt::format(" scale {:.4g}", q.scale[0])
                                : fmt::format(" {} scales", q.scale.size());
    if (q.zero_point != 0) text += fmt::format(" zero {}", q.zero_point);
  }
  return text;
}

}  // namespace

std::string to_string(const Graph& graph) {
  const auto reference = [&](ValueId id) {
    const Value& value = graph.value(id);
    return value.is_constant() && !value.name.empty() ? value.name : fmt::format("%{}", id);
  };
  std::string text;
  for (ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    text += fmt::format("%{} {} = input {}\n", id, type_text(value), value.name);
  }
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    if (value.is_constant())
      text += fmt::format("{} {} = constant\n", reference(static_cast<ValueId>(i)), type_text(value));
  }
  for (const Node& node : graph.nodes()) {
    text += fmt::format("%{} {} = {}", node.output, type_text(graph.value(node.output)), to_string(node.op));
    for (ValueId id : node.inputs) text += ' ' + reference(id);
    text += node.name.empty() ? "\n" : fmt::format("  # {}\n", node.name);
  }
  text += "output";
  for (ValueId id : graph.outputs()) text += ' ' + reference(id);
  return text + '\n';
}

}  // namespace lathe::graph
