#include "parameters.h"

#include "groups.h"

#include <lathe/base/error.h>

#include <algorithm>
#include <cmath>

namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::Quantization;
using graph::Value;
using graph::ValueId;

/// The largest magnitude that an output can have whatever its inputs' codes are; 0 where that does not
/// matter.
double reach(const Graph& graph, const Node& node, std::span<const Quantization> parameters, int bits) {
  const auto width = [&](std::size_t operand) {
    return (bits == 8 ? 255 : 32767) *
           static_cast<double>(parameters[static_cast<std::size_t>(node.inputs[operand])].scale[0]);
  };
  if (std::holds_alternative<graph::GlobalAvgPool>(node.op)) return width(0);
  if (std::holds_alternative<graph::Add>(node.op)) return width(0) + width(1);
  if (std::holds_alternative<graph::Multiply>(node.op)) return width(0) * width(1);
  if (!std::holds_alternative<graph::Conv2d>(node.op) && !std::holds_alternative<graph::Linear>(node.op))
    return 0;
  const Value& weight = graph.value(node.inputs[1]);
  const auto elements = weight.elements<float>();
  const auto taps = static_cast<std::size_t>(weight.shape.size() / weight.shape[0]);
  double largest = 0;
  for (std::size_t c = 0; c * taps < elements.size(); ++c) {
    double sum = 0;
    for (float w : elements.subspan(c * taps, taps)) sum += std::abs(static_cast<double>(w));
    sum *= width(0);
    if (node.inputs.size() > 2)
      sum += std::abs(static_cast<double>(graph.value(node.inputs[2]).elements<float>()[c]));
    largest = std::max(largest, sum);
  }
  return largest;
}

class Chooser {
 public:
  Chooser(const Graph& graph, const Ranges& ranges, const Reasons& stay_float, const QuantizeOptions& options)
      : bits_(options.scheme == Scheme::int8 ? 8 : 16),
        graph_(graph),
        stay_float_(stay_float),
        joined_(graph.values().size()),
        sharing_(share_parameters(
            graph, stay_float,
            options.input == Border::u8 && bits_ == 8 ? std::optional(kPixels) : std::nullopt, bits_)),
        fixed_(sharing_.fixed) {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      if (!ranges[i]) continue;
      std::optional<Range>& range = joined_[group(static_cast<ValueId>(i))];
      if (!range) range = Range{};
      range = Range{std::min(range->min, ranges[i]->min), std::max(range->max, ranges[i]->max)};
    }
  }

  std::vector<Quantization> choose() {
    std::vector<Quantization> parameters(graph_.values().size());
    std::vector<std::vector<std::size_t>> members(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) members[group(static_cast<ValueId>(i))].push_back(i);
    // Groups get their parameters when the first of their values is made; a later one may need coarser ones.
    std::vector<double> smallest(parameters.size());
    const auto settle = [&](ValueId id) {
      const std::size_t g = group(id);
      if (!fixed_[g] && !joined_[g]) return;
      const Quantization chosen =
          fixed_[g] ? *fixed_[g] : graph::activation_parameters(*joined_[g], bits_, smallest[g]);
      for (std::size_t member : members[g]) parameters[member] = chosen;
    };
    for (ValueId id : graph_.inputs()) settle(id);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!stay_float_[i]) {
        // An output that hardly left 0 would get a scale that rescaling cannot express: 2^24 steps are plenty
        // for 8 bits.
        double& before = smallest[group(node.output)];
        const int steps = bits_ == 8 ? 24 : 40;
        before = std::max(before, std::ldexp(reach(graph_, node, parameters, bits_), -steps));
      }
      settle(node.output);
    }
    return parameters;
  }

 private:
  std::size_t group(ValueId id) { return sharing_.groups.find(id); }

  int bits_;
  const Graph& graph_;
  const Reasons& stay_float_;
  std::vector<std::optional<Range>> joined_;  ///< by group
  Sharing sharing_;
  const std::vector<std::optional<Quantization>>& fixed_;
};

}  // namespace

std::vector<Quantization> choose_parameters(const Graph& graph, const Ranges& ranges,
                                            const Reasons& stay_float, const QuantizeOptions& options) {
  const bool u8 = options.input == Border::u8;
  for (ValueId id : graph.inputs()) {
    const std::optional<Range>& range = ranges[static_cast<std::size_t>(id)];
    check(!u8 || !range || (range->min >= -kPixels.scale[0] && range->max <= 1 + kPixels.scale[0]),
          "quantize: u8 input is pixel / 255, but input {} goes from {} to {}", graph.value(id).name,
          range ? range->min : 0, range ? range->max : 0);
  }
  return Chooser(graph, ranges, stay_float, options).choose();
}

}  // namespace lathe::compress
