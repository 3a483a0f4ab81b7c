#include "groups.h"
#include "passes/follow.h"
#include "passes/rewrite.h"
#include "quantizer_positions.h"
#include "quantizers.h"
#include "trace_modules.h"
#include "weight_scales.h"

#include <lathe/base/error.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/core/autograd.h>

#include <array>
#include <map>

namespace lathe::compress {
namespace {

using graph::ValueId;

/// A graph without its quantizers, and their ranges by value.
struct TakenOut {
  graph::Graph graph;
  Ranges ranges;
  int bits = 0;
};

TakenOut take_out_quantizers(const graph::Graph& graph) {
  Rewriter rewriter(graph);
  std::map<ValueId, Range> ranges;
  int bits = 0;
  for (const graph::Node& node : graph.nodes()) {
    const auto* quantizer = std::get_if<graph::FakeQuantize>(&node.op);
    if (quantizer == nullptr) {
      rewriter.copy(node);
      continue;
    }
    const ValueId value = rewriter.map(node.inputs[0]);
    ranges[value] = {quantizer->min, quantizer->max};
    bits = quantizer->bits;
    rewriter.replace(node.output, value);
  }
  TakenOut result{rewriter.finish(), {}, bits};
  result.ranges.resize(result.graph.values().size());
  for (const auto& [value, range] : ranges) result.ranges[static_cast<std::size_t>(value)] = range;
  return result;
}

/// Nodes that could run in integers but were not trained so: their weights are no multiples of an integer's
/// step, or their output was not rounded.
std::vector<std::size_t> untrained(const graph::Graph& graph, const Ranges& ranges) {
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const graph::Node& node = graph.nodes()[i];
    bool trained = !rounds_unasked(node.op) || ranges[static_cast<std::size_t>(node.output)].has_value();
    const bool layer =
        std::holds_alternative<graph::Conv2d>(node.op) || std::holds_alternative<graph::Linear>(node.op);
    if (layer && graph.value(node.inputs[1]).is_constant()) {
      const graph::Value& weight = graph.value(node.inputs[1]);
      const auto elements = weight.elements<float>();
      trained = lossless(elements, weight_scales(elements, static_cast<std::size_t>(weight.shape[0])));
    }
    if (!trained) result.push_back(i);
  }
  return result;
}

}  // namespace

graph::Graph export_quantized(layers::Module& model, const Shape& input, const QuantizeOptions& options,
                              std::vector<FloatNode>* left_float) {
  check(has_activation_quantizers(model),
        "export_quantized: the model has no quantizers: train it with quantize_aware(), or calibrate and "
        "quantize() its float graph");
  const graph::Graph traced = trace(model, input);
  {
    const NoGrad no_grad;
    const layers::EvalMode evaluation(model);
    check_parity(traced, model, input);
  }
  TakenOut real = take_out_quantizers(traced);
  check(real.bits == 8 || options.scheme == Scheme::int16x8,
        "export_quantized: the model was trained for int16x8: give .scheme = Scheme::int16x8");
  constexpr std::array kThinner = {Pass{"remove_channels", remove_channels}};
  const Followed followed = optimize_followed(std::move(real.graph), kThinner);
  Ranges ranges(followed.origins.size());
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (followed.origins[i] >= 0) ranges[i] = real.ranges[static_cast<std::size_t>(followed.origins[i])];
  QuantizeOptions all = options;
  for (std::size_t node : untrained(followed.graph, ranges)) all.stay_float.push_back(node);
  return quantize(followed.graph, ranges, all, left_float);
}

}  // namespace lathe::compress
