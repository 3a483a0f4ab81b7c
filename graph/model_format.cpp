#include "model_format.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

namespace lathe::graph::model_format {
namespace {

/// What an operand is to its reader; empty for activations.
std::string_view role(const Op& op, std::size_t operand) {
  constexpr std::array<std::string_view, 3> kWeighted{"", "weight", "bias"};
  constexpr std::array<std::string_view, 5> kNormalised{"", "gamma", "beta", "moving_mean",
                                                        "moving_variance"};
  if (std::holds_alternative<BatchNorm>(op)) return operand < kNormalised.size() ? kNormalised[operand] : "";
  if (std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op))
    return operand < kWeighted.size() ? kWeighted[operand] : "";
  return "";
}

/// Parameters of a bias: those of the sum of products it is added to.
std::optional<Quantization> bias_parameters(const Graph& graph, const Node& node) {
  const auto& x = graph.value(node.inputs[0]).quantization;
  const auto& weight = graph.value(node.inputs[1]).quantization;
  if (!x || !weight || x->scale.size() != 1) return {};
  Quantization result = *weight;
  for (float& scale : result.scale) scale *= x->scale[0];
  return result;
}

}  // namespace

Derived derive(const Graph& graph) {
  Derived result;
  result.names.resize(graph.values().size());
  result.parameters.resize(graph.values().size());
  for (const Node& node : graph.nodes()) {
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      const std::string_view what = role(node.op, i);
      const auto id = static_cast<std::size_t>(node.inputs[i]);
      if (what.empty() || !graph.values()[id].is_constant()) continue;
      if (result.names[id].empty() && !node.name.empty())
        result.names[id] = fmt::format("{}.{}", node.name, what);
      if (what == "bias" && !result.parameters[id]) result.parameters[id] = bias_parameters(graph, node);
    }
  }
  return result;
}

encoding::Traits traits_of(const Shape& shape, Dtype dtype) {
  encoding::Traits traits{.real = dtype == Dtype::f32 || dtype == Dtype::f16};
  const auto narrow = [](std::int64_t extent) {
    return static_cast<std::uint32_t>(
        std::min<std::int64_t>(extent, std::numeric_limits<std::int32_t>::max()));
  };
  if (shape.rank() > 1) traits.row = narrow(shape.size() / std::max<std::int64_t>(shape[0], 1));
  if (shape.rank() == 4) {
    traits.step = narrow(shape[3]);
    traits.line = narrow(shape[2] * shape[3]);
  }
  return traits;
}

std::uint32_t checksum(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace lathe::graph::model_format
