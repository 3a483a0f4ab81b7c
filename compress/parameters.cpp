#include "parameters.h"

#include <lathe/base/error.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::Quantization;
using graph::Value;
using graph::ValueId;

/// Sets of values that share their parameters.
class Groups {
 public:
  explicit Groups(std::size_t values) : parents_(values) { std::iota(parents_.begin(), parents_.end(), 0); }

  ValueId find(ValueId id) {
    ValueId& parent = parents_[static_cast<std::size_t>(id)];
    while (parent != parents_[static_cast<std::size_t>(parent)])
      parent = parents_[static_cast<std::size_t>(parent)];
    return parent;
  }
  void join(ValueId a, ValueId b) { parents_[static_cast<std::size_t>(find(a))] = find(b); }

 private:
  std::vector<ValueId> parents_;
};

/// Of u8 images, less 128: real = pixel / 255.
const Quantization kPixels{{1.f / 255}, -128};

/// The largest magnitude that an output can have whatever its 8-bit inputs are; 0 where that does not matter.
double reach(const Graph& graph, const Node& node, std::span<const Quantization> parameters) {
  const auto width = [&](std::size_t operand) {
    return 255 * static_cast<double>(parameters[static_cast<std::size_t>(node.inputs[operand])].scale[0]);
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
  Chooser(const Graph& graph, const Ranges& ranges, const Reasons& stay_float, bool u8)
      : graph_(graph),
        stay_float_(stay_float),
        groups_(graph.values().size()),
        joined_(graph.values().size()),
        fixed_(graph.values().size()) {
    for (ValueId id : graph.inputs())
      if (u8) fixed_[group(id)] = kPixels;
    for (std::size_t i = 0; i < graph.nodes().size(); ++i)
      if (!stay_float[i]) add(graph.nodes()[i]);
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
          fixed_[g] ? *fixed_[g] : graph::activation_parameters(*joined_[g], 8, smallest[g]);
      for (std::size_t member : members[g]) parameters[member] = chosen;
    };
    for (ValueId id : graph_.inputs()) settle(id);
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!stay_float_[i]) {
        // An output that hardly left 0 would get a scale that rescaling cannot express: 2^24 steps are
        // plenty.
        double& before = smallest[group(node.output)];
        before = std::max(before, std::ldexp(reach(graph_, node, parameters), -24));
      }
      settle(node.output);
    }
    return parameters;
  }

 private:
  std::size_t group(ValueId id) { return static_cast<std::size_t>(groups_.find(id)); }

  void add(const Node& node) {
    fixed_[group(node.output)] = fixed_parameters(node.op);
    if (std::holds_alternative<graph::Concat>(node.op))
      join_parts(node);
    else if (hands_on(node.op))
      groups_.join(node.output, node.inputs[0]);
  }

  /// The parts of a concatenation share its parameters, but for those that are fixed to others.
  void join_parts(const Node& node) {
    const auto& first = fixed_[group(node.inputs[0])];
    const bool alike =
        std::ranges::all_of(node.inputs, [&](ValueId id) { return fixed_[group(id)] == first; });
    for (ValueId id : node.inputs)
      if (alike || !fixed_[group(id)]) groups_.join(node.output, id);
  }

  const Graph& graph_;
  const Reasons& stay_float_;
  Groups groups_;
  std::vector<std::optional<Range>> joined_;  ///< by group
  std::vector<std::optional<Quantization>> fixed_;
};

}  // namespace

std::vector<Quantization> choose_parameters(const Graph& graph, const Ranges& ranges,
                                            const Reasons& stay_float, const QuantizeOptions& options) {
  const bool u8 = options.input == QuantizeOptions::Border::u8;
  for (ValueId id : graph.inputs()) {
    const std::optional<Range>& range = ranges[static_cast<std::size_t>(id)];
    check(!u8 || !range || (range->min >= -kPixels.scale[0] && range->max <= 1 + kPixels.scale[0]),
          "quantize: u8 input is pixel / 255, but input {} goes from {} to {}", graph.value(id).name,
          range ? range->min : 0, range ? range->max : 0);
  }
  return Chooser(graph, ranges, stay_float, u8).choose();
}

}  // namespace lathe::compress
