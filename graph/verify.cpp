#include "verify.h"

#include <limits>

namespace lathe::graph {
namespace {

/// Of an activation at batch size 1: what kernels index with 32 bits.
constexpr std::int64_t kMaxElements = std::numeric_limits<std::int32_t>::max();

/// What is known of a value while the nodes are walked in order.
struct Origin {
  bool known = false;
  bool fixed = false;  ///< the same whatever the inputs are
};

/// Operands that must not depend on the inputs of the graph: weights, biases and normalisation vectors.
std::size_t first_weight(const Op& op) {
  const bool weighted = std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op) ||
                        std::holds_alternative<BatchNorm>(op);
  return weighted ? 1 : std::numeric_limits<std::size_t>::max();
}

void check_id(const Graph& graph, ValueId id, std::string_view who) {
  check(id >= 0 && static_cast<std::size_t>(id) < graph.values().size(),
        "{}: there is no value {} (the graph has {})", who, id, graph.values().size());
}

void verify_inputs(const Graph& graph, std::vector<Origin>& origins) {
  check(!graph.inputs().empty() && !graph.outputs().empty(),
        "graph: at least one input and one output are needed");
  for (ValueId id : graph.inputs()) {
    check_id(graph, id, "graph inputs");
    const Value& value = graph.value(id);
    auto& origin = origins[static_cast<std::size_t>(id)];
    check(!origin.known, "input {} (value {}) is a constant or listed twice", value.name, id);
    check(value.shape.rank() >= 2 && value.shape[0] == 1, "input {}: the shape must be [1,...], given {}",
          value.name, to_string(value.shape));
    check(value.dtype == Dtype::f32 || value.dtype == Dtype::u8 || value.dtype == Dtype::i8,
          "input {}: f32, u8 or i8 expected, given {}", value.name, to_string(value.dtype));
    origin.known = true;
  }
}

void verify_node(const Graph& graph, const Node& node, std::vector<Origin>& origins) {
  const auto who = [&] { return describe(graph, node); };
  std::vector<Shape> shapes;
  bool fixed = true;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    check_id(graph, id, who());
    const Origin origin = origins[static_cast<std::size_t>(id)];
    if (!origin.known) fail("{}: reads value {} before it is made", who(), id);
    if (i >= first_weight(node.op) && !origin.fixed)
      fail("{}: operand {} must not depend on the graph's inputs", who(), i);
    fixed = fixed && origin.fixed;
    shapes.push_back(graph.value(id).shape);
  }
  check_id(graph, node.output, who());
  Origin& output = origins[static_cast<std::size_t>(node.output)];
  if (output.known) fail("{}: value {} is made twice", who(), node.output);
  output = {.known = true, .fixed = fixed};
  if (!deployable(node.op)) fail("{}: is for training only", who());

  const Value& result = graph.value(node.output);
  try {
    const Shape shape = infer_shape(node.op, shapes);
    check(shape == result.shape, "output is {}, the value has {}", to_string(shape), to_string(result.shape));
    check(shape.size() <= kMaxElements, "output {} has more than {} elements", to_string(shape),
          kMaxElements);
    verify_types(graph, node);
  } catch (const Error& error) {
    fail("{}: {}", who(), error.what());
  }
}

/// Shapes must follow the batch: a constant of batch size 1 among the activations, for example, does not.
void verify_batch(const Graph& graph) {
  std::vector<Shape> shapes;
  try {
    shapes = graph.shapes_at(2);
  } catch (const Error& error) {
    fail("graph: at batch size 2: {}", error.what());
  }
  for (ValueId id : graph.outputs()) {
    const Shape& shape = shapes[static_cast<std::size_t>(id)];
    check(shape.rank() >= 2 && shape[0] == 2, "graph: at batch size 2 output value {} has shape {}", id,
          to_string(shape));
  }
}

}  // namespace

std::string describe(const Graph& graph, const Node& node) {
  return fmt::format("node {}{}{} ({})", &node - graph.nodes().data(), node.name.empty() ? "" : " ",
                     node.name, graph::name(node.op));
}

void verify(const Graph& graph) {
  std::vector<Origin> origins(graph.values().size());
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    const Value& value = graph.values()[i];
    verify_value(value, static_cast<ValueId>(i));
    if (value.is_constant()) origins[i] = {.known = true, .fixed = true};
  }
  verify_inputs(graph, origins);
  for (const Node& node : graph.nodes()) verify_node(graph, node, origins);
  for (std::size_t i = 0; i < origins.size(); ++i)
    check(origins[i].known, "value {} {} is neither an input, a constant nor the output of a node", i,
          graph.values()[i].name);
  for (ValueId id : graph.outputs()) {
    check_id(graph, id, "graph outputs");
    check(!origins[static_cast<std::size_t>(id)].fixed,
          "graph: output value {} does not depend on the inputs", id);
  }
  verify_batch(graph);
}

}  // namespace lathe::graph
