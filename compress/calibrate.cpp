#include <lathe/base/error.h>
#include <lathe/compress/quantize.h>
#include <lathe/core/autograd.h>
#include <lathe/core/evaluate.h>

#include <algorithm>
#include <cmath>

namespace lathe::compress {
namespace {

std::string describe_value(const graph::Graph& graph, graph::ValueId id) {
  for (const graph::Node& node : graph.nodes())
    if (node.output == id) return describe(graph, node);
  return "input " + graph.value(id).name;
}

/// Widens `range` by the elements. False when one is not finite.
bool extend(Range& range, std::span<const float> elements) {
  float low = range.min, high = range.max, sum = 0;
  for (float x : elements) {
    low = std::min(low, x);
    high = std::max(high, x);
    sum += x * 0.f;  // NaN as soon as one element is not finite
  }
  range = {low, high};
  return sum == 0;
}

}  // namespace

Ranges calibrate(const graph::Graph& graph, std::span<const Tensor> batches, const CalibrationOptions&) {
  check(!batches.empty(), "calibrate: there are no images");
  check(graph.inputs().size() == 1, "calibrate: graphs with one input are expected, this one has {}",
        graph.inputs().size());
  const NoGrad no_grad;
  Ranges ranges(graph.values().size());
  for (const Tensor& batch : batches) {
    evaluate(graph, std::span(&batch, 1), [&](graph::ValueId id, const Tensor& value) {
      std::optional<Range>& range = ranges[static_cast<std::size_t>(id)];
      if (!range) range = Range{};
      if (!extend(*range, value.span<float>()))
        fail("calibrate: {} has values that are not finite", describe_value(graph, id));
    });
  }
  return ranges;
}

}  // namespace lathe::compress
