#include <lathe/core/autograd.h>
#include <lathe/core/evaluate.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <vector>

namespace lathe {
namespace {

using graph::Graph;
using graph::ValueId;

std::size_t index(ValueId id) { return static_cast<std::size_t>(id); }

Tensor constant(const graph::Value& value) {
  Tensor tensor = Tensor::empty(value.shape, value.dtype);
  std::ranges::copy(value.data->bytes(), tensor.mutable_raw().begin());
  return tensor;
}

void check_inputs(const Graph& graph, std::span<const Tensor> inputs) {
  check(inputs.size() == graph.inputs().size(), "evaluate: the graph has {} inputs, {} given",
        graph.inputs().size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const graph::Value& value = graph.value(graph.inputs()[i]);
    check(inputs[i] && inputs[i].shape().rank() >= 1 && inputs[i].dtype() == value.dtype &&
              inputs[i].shape() == value.shape.with(0, inputs[0].shape()[0]),
          "evaluate: input {} must be {}{} with any number for the batch, the same for all inputs; given {}",
          value.name, to_string(value.dtype), to_string(value.shape),
          inputs[i] ? fmt::format("{}{}", to_string(inputs[i].dtype()), to_string(inputs[i].shape()))
                    : "an empty handle");
  }
  for (const graph::Value& value : graph.values())
    check(!value.quantization, "evaluate: the graph has integer values ({} {}{}), they belong to the runtime",
          value.name, to_string(value.dtype), to_string(value.shape));
}

}  // namespace

std::vector<Tensor> evaluate(const Graph& graph, std::span<const Tensor> inputs,
                             FunctionRef<void(ValueId, const Tensor&)> observe) {
  check_inputs(graph, inputs);
  const NoGrad no_grad;
  std::vector<Tensor> values(graph.values().size());
  // An activation is freed after the last node that reads it.
  std::vector<std::size_t> last_use(values.size(), 0);
  for (std::size_t n = 0; n < graph.nodes().size(); ++n)
    for (ValueId id : graph.nodes()[n].inputs) last_use[index(id)] = n;
  for (ValueId id : graph.outputs()) last_use[index(id)] = graph.nodes().size();

  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values[index(graph.inputs()[i])] = inputs[i];
    observe(graph.inputs()[i], inputs[i]);
  }
  std::vector<Tensor> arguments;
  for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
    const graph::Node& node = graph.nodes()[n];
    arguments.clear();
    for (ValueId id : node.inputs) {
      const graph::Value& value = graph.value(id);
      if (value.is_constant() && !values[index(id)]) values[index(id)] = constant(value);
      arguments.push_back(values[index(id)]);
    }
    try {
      values[index(node.output)] = lathe::apply(node.op, arguments);
    } catch (const Error& error) {
      fail("evaluate: {}{}{}", node.name, node.name.empty() ? "" : ": ", error.what());
    }
    observe(node.output, values[index(node.output)]);
    for (ValueId id : node.inputs)
      if (last_use[index(id)] == n) values[index(id)] = {};
  }
  std::vector<Tensor> outputs;
  for (ValueId id : graph.outputs()) {
    if (graph.value(id).is_constant() && !values[index(id)]) values[index(id)] = constant(graph.value(id));
    outputs.push_back(values[index(id)]);
  }
  return outputs;
}

std::vector<Tensor> evaluate(const Graph& graph, std::span<const Tensor> inputs) {
  return evaluate(graph, inputs, [](ValueId, const Tensor&) {});
}

}  // namespace lathe
