#include "quantizer_positions.h"

#include "groups.h"
#include "passes/follow.h"
#include "passes/rewrite.h"
#include "trace_modules.h"

#include <algorithm>
#include <map>
#include <set>

namespace lathe::compress {
namespace {

using graph::Graph;
using graph::Node;
using graph::ValueId;

bool has_weight(const Node& node) {
  return std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op);
}

bool is_norm(const Node& node) { return std::holds_alternative<graph::BatchNorm>(node.op); }

/// A constant of ones.
layers::Parameter ones(const Shape& shape) {
  layers::Parameter parameter(shape);
  std::ranges::fill(parameter.master().mutable_span<float>(), 1.0f);
  parameter.master().set_requires_grad(false);
  return parameter;
}

bool takes_all(const Selection& selection) {
  return selection.patterns.empty() && selection.exclude.empty() && selection.types.empty() &&
         !selection.visitor;
}

/// The range that gives an op's fixed parameters.
std::optional<Range> fixed_range(const graph::Op& op) {
  const auto fixed = graph::fixed_parameters(op, 8);
  if (!fixed) return {};
  const auto at = [&](int code) { return fixed->scale[0] * static_cast<float>(code - fixed->zero_point); };
  return Range{at(-128), at(127)};
}

class Finder {
 public:
  Finder(layers::Module& model, const Shape& input, const Selection& selection) : model_(model) {
    std::map<layers::Module*, int> calls;
    std::set<ValueId> taken;
    raw_ = trace_modules(model, input, [&](layers::Module& module, ValueId value) {
      ++calls[&module];
      // Of modules with the same output the innermost comes first; one that hands its input on comes later.
      if (value >= 0 && taken.insert(value).second) makers_[value] = &module;
    });
    std::erase_if(makers_, [&](const auto& maker) { return calls[maker.second] > 1; });
    Followed followed = optimize_followed(raw_);
    graph_ = std::move(followed.graph);
    origins_ = std::move(followed.origins);
    for (const layers::NamedParameter& named : model.parameters()) parameters_[named.name] = named.parameter;
    choose(selection);
  }

  QuantizerPositions run() {
    want();
    settle();
    drop_unused();
    QuantizerPositions result;
    make_ranges(result);
    make_weights(result);
    note_rescaling(result);
    list_left_out(result);
    return result;
  }

 private:
  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

  void choose(const Selection& selection) {
    std::set<std::string> paths;
    if (!takes_all(selection))
      for (const SelectedLayer& layer : select_layers(model_, selection, "quantize_aware"))
        paths.insert(layer.path);
    stay_.resize(graph_.nodes().size());
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      chosen_.push_back(takes_all(selection) || paths.contains(node.name));
      if (!has_weight(node)) continue;
      if (!chosen_[i])
        stay_[i] = "it is not selected";
      else if (!parameters_.contains(graph_.value(node.inputs[1]).name))
        stay_[i] = "its weight is not a parameter of a layer";
    }
    quantized_.resize(graph_.values().size());
    producers_.resize(graph_.values().size());
    for (const Node& node : graph_.nodes()) producers_[index(node.output)] = &node;
  }

  bool attachable(ValueId id) const {
    return producers_[index(id)] == nullptr || makers_.contains(origins_[index(id)]);
  }

  /// Calls visit(value) for the values whose rounding a value depends on: itself, or what was handed on.
  template <typename Visit>
  void for_each_source(ValueId id, const Visit& visit) const {
    if (graph_.value(id).is_constant()) return;
    const Node* producer = producers_[index(id)];
    if (producer == nullptr || rounds(*producer)) visit(id);
    if (producer != nullptr && hands_on(producer->op))
      for (ValueId input : producer->inputs) for_each_source(input, visit);
  }

  /// Fixed parameters that a value has from where it was made.
  std::optional<graph::Quantization> fixed(ValueId id) const {
    const Node* producer = producers_[index(id)];
    if (producer == nullptr) return {};
    if (!hands_on(producer->op)) return graph::fixed_parameters(producer->op, 8);
    return is_mixed(*producer) ? std::nullopt : fixed(producer->inputs[0]);
  }

  /// A concatenation of parts with different parameters: some are rescaled to those of the others.
  bool is_mixed(const Node& node) const {
    if (!std::holds_alternative<graph::Concat>(node.op)) return false;
    const auto first = fixed(node.inputs[0]);
    return std::ranges::any_of(node.inputs, [&](ValueId id) { return fixed(id) != first; });
  }

  /// Does the integer form of the node round? Ops that hand numbers on do not, but for averages.
  bool rounds(const Node& node) const {
    return !hands_on(node.op) || std::holds_alternative<graph::AvgPool2d>(node.op) || is_mixed(node);
  }

  template <typename Visit>
  static void for_each_activation(const Graph& graph, const Node& node, const Visit& visit) {
    for (ValueId id : node.inputs)
      if (!graph.value(id).is_constant()) visit(id);
    visit(node.output);
  }

  /// Every activation of every selected layer that has an integer form.
  void want() {
    const Reasons possible = reasons_for_float(graph_, Ranges(graph_.values().size(), Range{0, 1}));
    for (std::size_t i = 0; i < graph_.nodes().size(); ++i) {
      if (!stay_[i]) stay_[i] = possible[i];
      if (!chosen_[i] || stay_[i]) continue;
      for_each_activation(graph_, graph_.nodes()[i], [&](ValueId value) {
        for_each_source(value, [&](ValueId id) {
          if (attachable(id)) quantized_[index(id)] = true;
        });
      });
    }
  }

  /// Which nodes will run in integers, with the quantizers there are now.
  Reasons reasons() const {
    Ranges ranges(graph_.values().size());
    for (std::size_t i = 0; i < ranges.size(); ++i)
      if (quantized_[i]) ranges[i] = Range{0, 1};
    Reasons result = reasons_for_float(graph_, complete_ranges(graph_, std::move(ranges)));
    for (std::size_t i = 0; i < result.size(); ++i)
      if (stay_[i]) result[i] = stay_[i];
    return result;
  }

  /// What rounds in integers has a quantizer, or stays float.
  void settle() {
    bool changed = true;
    while (changed) {
      changed = false;
      const Reasons now = reasons();
      for (std::size_t i = 0; i < now.size(); ++i) {
        const ValueId output = graph_.nodes()[i].output;
        if (now[i] || !rounds(graph_.nodes()[i]) || quantized_[index(output)]) continue;
        changed = true;
        if (attachable(output))
          quantized_[index(output)] = true;
        else
          stay_[i] = why_not(output);
      }
    }
  }

  /// Quantizers between float nodes would round what the deployed graph does not.
  void drop_unused() {
    bool changed = true;
    while (changed) {
      changed = false;
      std::vector<bool> used(quantized_.size());
      const Reasons now = reasons();
      for (std::size_t i = 0; i < now.size(); ++i)
        if (!now[i])
          for_each_activation(graph_, graph_.nodes()[i], [&](ValueId id) { used[index(id)] = true; });
      for (std::size_t i = 0; i < used.size(); ++i) {
        if (!quantized_[i] || used[i]) continue;
        quantized_[i] = false;
        changed = true;
      }
    }
  }

  std::string name_of(ValueId id) const {
    const Node* producer = producers_[index(id)];
    return producer == nullptr ? "the input" : describe(graph_, *producer);
  }

  std::string why_not(ValueId id) const {
    return fmt::format(
        "the output of {} is not the output of a module that is called once, so that no quantizer can be "
        "attached",
        name_of(id));
  }

  void make_ranges(QuantizerPositions& result) {
    sharing_.emplace(share_parameters(graph_, reasons(), {}, 8));
    range_of_group_.assign(quantized_.size(), -1);
    for (std::size_t i = 0; i < quantized_.size(); ++i) {
      if (!quantized_[i]) continue;
      const auto id = static_cast<ValueId>(i);
      const Node* producer = producers_[i];
      int& range = range_of_group_[sharing_->groups.find(id)];
      if (range < 0) {
        range = static_cast<int>(result.ranges.size());
        result.ranges.emplace_back();
      }
      SharedRange& shared = result.ranges[static_cast<std::size_t>(range)];
      if (producer == nullptr)
        shared.of_input = true;
      else if (const auto fixed = fixed_range(producer->op))
        shared.fixed = fixed;
      result.activations.push_back(
          {.module = producer == nullptr ? &model_ : makers_.at(origins_[i]),
           .input = producer == nullptr,
           .average = producer != nullptr && std::holds_alternative<graph::AvgPool2d>(producer->op),
           .range = static_cast<std::size_t>(range)});
    }
  }

  void make_weights(QuantizerPositions& result) {
    const Reasons now = reasons();
    const Uses uses(raw_);
    for (std::size_t i = 0; i < now.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (now[i]) continue;
      if (is_norm(node)) {
        WeightPosition position{.weight = ones({graph_.value(node.output).shape[3], 1, 1, 1})};
        position.input_range = range_of(node.inputs[0]);
        set_norm(position, graph_, node);
        weight_of_node_[i] = result.weights.size();
        result.weights.push_back(std::move(position));
      }
      if (!has_weight(node)) continue;
      const std::string& name = graph_.value(node.inputs[1]).name;
      const auto raw = std::ranges::find_if(raw_.nodes(), [&](const Node& candidate) {
        return has_weight(candidate) && candidate.name == node.name &&
               raw_.value(candidate.inputs[1]).name == name;
      });
      if (raw == raw_.nodes().end()) continue;
      WeightPosition position{.weight = parameters_.at(name)};
      position.input_range = range_of(node.inputs[0]);
      if (raw->inputs.size() > 2) position.bias = parameter(raw_.value(raw->inputs[2]).name);
      const Node* reader = uses.only_reader(raw->output);
      if (reader != nullptr && is_norm(*reader)) set_norm(position, raw_, *reader);
      weight_of_node_[i] = result.weights.size();
      result.weights.push_back(std::move(position));
    }
  }

  void set_norm(WeightPosition& position, const Graph& graph, const Node& norm) const {
    position.norm = std::get<graph::BatchNorm>(norm.op);
    for (std::size_t input = 1; input < 5; ++input)
      position.norm_names.push_back(graph.value(norm.inputs[input]).name);
    const graph::Value& gamma = graph.value(norm.inputs[1]);
    position.gamma = parameter(gamma.name);
    if (!position.gamma && std::ranges::all_of(gamma.elements<float>(), [](float x) { return x == 1; }))
      position.gamma = ones(gamma.shape);
  }

  std::size_t range_of(ValueId id) {
    return static_cast<std::size_t>(range_of_group_[sharing_->groups.find(id)]);
  }

  void note_rescaling(QuantizerPositions& result) {
    const Reasons now = reasons();
    for (std::size_t i = 0; i < now.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (now[i] || !makers_.contains(origins_[index(node.output)])) continue;
      const auto position = std::ranges::find_if(result.activations, [&](const ActivationPosition& some) {
        return !some.input && some.module == makers_.at(origins_[index(node.output)]);
      });
      if (position == result.activations.end()) continue;
      const auto weight = weight_of_node_.find(i);
      if (weight != weight_of_node_.end()) {
        position->weight = weight->second;
        position->input_ranges = {range_of(node.inputs[0])};
      } else if (std::holds_alternative<graph::Multiply>(node.op)) {
        position->input_ranges = {range_of(node.inputs[0]), range_of(node.inputs[1])};
      } else if (std::holds_alternative<graph::GlobalAvgPool>(node.op)) {
        const Shape& x = graph_.value(node.inputs[0]).shape;
        position->input_ranges = {range_of(node.inputs[0])};
        position->divisor = static_cast<double>(x[1] * x[2]);
      }
    }
  }

  layers::Parameter parameter(const std::string& name) const {
    const auto found = parameters_.find(name);
    return found != parameters_.end() ? found->second : layers::Parameter();
  }

  void list_left_out(QuantizerPositions& result) const {
    const Reasons now = reasons();
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (!now[i] || !chosen_[i]) continue;
      const Node& node = graph_.nodes()[i];
      std::string reason = *now[i];
      if (!stay_[i])  // a range is missing: whose?
        for_each_activation(graph_, node, [&](ValueId value) {
          for_each_source(value, [&](ValueId id) {
            if (!attachable(id)) reason = why_not(id);
          });
        });
      result.left_out.push_back({node.name.empty() ? describe(graph_, node) : node.name, reason});
    }
  }

  layers::Module& model_;
  Graph raw_, graph_;
  std::vector<ValueId> origins_;
  std::map<ValueId, layers::Module*> makers_;  ///< by value of the raw graph
  std::map<std::string, layers::Parameter> parameters_;
  std::vector<const Node*> producers_;
  std::vector<bool> chosen_;     ///< by node
  Reasons stay_;                 ///< by node: reasons that no range can change
  std::vector<bool> quantized_;  ///< by value
  std::optional<Sharing> sharing_;
  std::vector<int> range_of_group_;
  std::map<std::size_t, std::size_t> weight_of_node_;
};

}  // namespace

bool rounds_unasked(const graph::Op& op) {
  return std::holds_alternative<graph::AvgPool2d>(op) || graph::fixed_parameters(op, 8).has_value();
}

QuantizerPositions find_positions(layers::Module& model, const Shape& input, const Selection& selection) {
  return Finder(model, input, selection).run();
}

}  // namespace lathe::compress
