#include <lathe/base/error.h>
#include <lathe/graph/graph.h>

#include <cstring>
#include <new>

namespace lathe::graph {
namespace {

constexpr std::align_val_t kAlignment{64};

}  // namespace

void ConstantData::Free::operator()(std::byte* data) const { ::operator delete[](data, kAlignment); }

std::shared_ptr<const ConstantData> ConstantData::make(std::size_t bytes,
                                                       FunctionRef<void(std::span<std::byte>)> fill) {
  auto result = std::make_shared<ConstantData>();
  result->data_.reset(static_cast<std::byte*>(::operator new[](bytes, kAlignment)));
  result->size_ = bytes;
  if (bytes > 0) std::memset(result->data_.get(), 0, bytes);
  fill({result->data_.get(), bytes});
  return result;
}

std::shared_ptr<const ConstantData> ConstantData::copy(std::span<const std::byte> bytes) {
  return make(bytes.size(), [&](std::span<std::byte> to) {
    if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
  });
}

ValueId Graph::add_value(Value value) {
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size() - 1);
}

ValueId Graph::add_input(std::string name, Shape shape, Dtype dtype) {
  const ValueId id = add_value({.name = std::move(name), .shape = shape, .dtype = dtype});
  inputs_.push_back(id);
  return id;
}

ValueId Graph::add_constant(std::string name, Shape shape, std::span<const float> elements) {
  return add_constant(
      {.name = std::move(name), .shape = shape, .data = ConstantData::copy(std::as_bytes(elements))});
}

ValueId Graph::add_constant(Value value) {
  check(value.is_constant(), "constant {}: there is no data", value.name);
  const std::size_t size = size_of(value.dtype), bytes = value.data->bytes().size();
  check(bytes % size == 0 && bytes / size == static_cast<std::size_t>(value.shape.size()),
        "constant {}: {} bytes given, {}{} has {} elements", value.name, bytes, to_string(value.dtype),
        to_string(value.shape), value.shape.size());
  return add_value(std::move(value));
}

ValueId Graph::add_node(Op op, std::vector<ValueId> inputs, std::string name, Dtype output_dtype,
                        std::optional<Quantization> quantization) {
  std::vector<Shape> shapes;
  for (ValueId id : inputs) {
    check(id >= 0 && static_cast<std::size_t>(id) < values_.size(), "node {} ({}): there is no value {}",
          name, graph::name(op), id);
    shapes.push_back(value(id).shape);
  }
  Shape shape;
  try {
    shape = infer_shape(op, shapes);
  } catch (const Error& error) {
    if (name.empty()) throw;
    fail("{}: {}", name, error.what());
  }
  const ValueId output =
      add_value({.shape = shape, .dtype = output_dtype, .quantization = std::move(quantization)});
  nodes_.push_back({std::move(op), std::move(inputs), output, std::move(name)});
  return output;
}

std::vector<Shape> Graph::shapes_at(std::int64_t batch) const {
  std::vector<Shape> shapes;
  for (const Value& value : values_) shapes.push_back(value.shape);
  for (ValueId id : inputs_) {
    Shape& shape = shapes[static_cast<std::size_t>(id)];
    check(shape.rank() >= 1, "graph: input {} has no batch axis", value(id).name);
    shape = shape.with(0, batch);
  }
  std::vector<Shape> inputs;
  for (const Node& node : nodes_) {
    inputs.clear();
    for (ValueId id : node.inputs) inputs.push_back(shapes[static_cast<std::size_t>(id)]);
    shapes[static_cast<std::size_t>(node.output)] = infer_shape(node.op, inputs);
  }
  return shapes;
}

std::int64_t count_flops(const Graph& graph) {
  std::int64_t total = 0;
  for (const Node& node : graph.nodes()) {
    if (!std::holds_alternative<Conv2d>(node.op) && !std::holds_alternative<Linear>(node.op)) continue;
    const Shape& weight = graph.value(node.inputs[1]).shape;
    total += 2 * graph.value(node.output).shape.size() * (weight.size() / weight[0]);
  }
  return total;
}

}  // namespace lathe::graph
