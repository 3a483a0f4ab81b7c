#pragma once

#include <lathe/graph/graph.h>

#include <numeric>
#include <string>
#include <vector>

/// Small graphs that several tests start from.
namespace small_graphs {

using namespace lathe;
using namespace lathe::graph;

inline std::vector<float> numbers(std::int64_t count) {
  std::vector<float> result(static_cast<std::size_t>(count));
  std::iota(result.begin(), result.end(), -3.f);
  return result;
}

template <typename T>
ValueId add_integers(Graph& graph, std::string name, Shape shape, std::vector<T> elements,
                     std::vector<float> scale) {
  return graph.add_constant({.name = std::move(name),
                             .shape = shape,
                             .dtype = DtypeOf<T>::value,
                             .quantization = Quantization{std::move(scale), 0},
                             .data = ConstantData::copy(std::as_bytes(std::span(elements)))});
}

/// Convolution with relu, flatten, linear.
inline Graph real() {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 6, 6, 1});
  const ValueId weight = graph.add_constant("conv.weight", {4, 3, 3, 1}, numbers(36));
  const ValueId bias = graph.add_constant("conv.bias", {4}, numbers(4));
  const ValueId matrix = graph.add_constant("head.weight", {10, 64}, numbers(640));
  const ValueId conv = graph.add_node(Conv2d{.activation = Activation::relu}, {x, weight, bias}, "conv");
  const ValueId flat = graph.add_node(Reshape{{64}}, {conv}, "flatten");
  graph.set_outputs({graph.add_node(Linear{}, {flat, matrix}, "head")});
  return graph;
}

/// Ids of integers(), in order.
enum Ids : ValueId {
  image,
  conv_weight,
  conv_bias,
  head_weight,
  head_bias,
  quantized,
  conv,
  pooled,
  flat,
  head,
  result
};

/// The same in 8 bits with a pool in between; scales are powers of two so that products are exact.
inline Graph integers() {
  Graph graph;
  graph.add_input("image", {1, 6, 6, 1});
  add_integers<std::int8_t>(graph, "conv.weight", {2, 3, 3, 1}, std::vector<std::int8_t>(18, 100),
                            {0.25f, 0.5f});
  add_integers<std::int32_t>(graph, "conv.bias", {2}, {1000, -5}, {0.125f, 0.25f});
  add_integers<std::int8_t>(graph, "head.weight", {3, 8}, std::vector<std::int8_t>(24, -127), {0.5f});
  add_integers<std::int32_t>(graph, "head.bias", {3}, {1, 2, 3}, {32.f});
  graph.add_node(Quantize{}, {image}, "", Dtype::i8, Quantization{{0.5f}, -128});
  graph.add_node(Conv2d{.activation = Activation::relu}, {quantized, conv_weight, conv_bias}, "conv",
                 Dtype::i8, Quantization{{64.f}, -128});
  graph.add_node(MaxPool2d{}, {conv}, "pool", Dtype::i8, Quantization{{64.f}, -128});
  graph.add_node(Reshape{{8}}, {pooled}, "flatten", Dtype::i8, Quantization{{64.f}, -128});
  graph.add_node(Linear{}, {flat, head_weight, head_bias}, "head", Dtype::i8, Quantization{{2048.f}, 3});
  graph.add_node(Dequantize{}, {head});
  graph.set_outputs({result});
  return graph;
}

/// Every op that may be deployed, with fields off their defaults.
inline Graph every_op() {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 16, 16, 4});
  const ValueId weight = graph.add_constant("odd name", {8, 3, 3, 2}, numbers(144));
  ValueId y = graph.add_node(Conv2d{2, 1, Padding::symmetric(1), 2, Activation::silu}, {x, weight}, "conv");
  std::vector<ValueId> operands{y};
  for (const char* name : {"bn.gamma", "bn.beta", "bn.moving_mean", "bn.moving_variance"})
    operands.push_back(graph.add_constant(name, {8}, numbers(8)));
  y = graph.add_node(BatchNorm{.epsilon = 1e-5f, .momentum = 0.9f, .activation = Activation::relu6}, operands,
                     "bn");
  y = graph.add_node(MaxPool2d{3, 2, 1, 2, Padding::same()}, {y});
  y = graph.add_node(AvgPool2d{2, 3, 1, 1, Padding::symmetric(1)}, {y});
  y = graph.add_node(Pad{1, 2, 3, 4}, {y});
  const ValueId gate = graph.add_node(Activate{Activation::sigmoid}, {graph.add_node(GlobalAvgPool{}, {y})});
  y = graph.add_node(Multiply{}, {y, gate});
  y = graph.add_node(Add{Activation::relu}, {y, y});
  y = graph.add_node(Concat{}, {y, y, y});
  y = graph.add_node(Reshape{{graph.value(y).shape.size()}}, {y});
  const ValueId matrix =
      graph.add_constant("", {3, graph.value(y).shape[1]}, numbers(3 * graph.value(y).shape[1]));
  y = graph.add_node(Linear{Activation::relu}, {y, matrix}, "head");
  graph.set_outputs({graph.add_node(Softmax{}, {y}), graph.add_node(LogSoftmax{}, {y})});
  return graph;
}

}  // namespace small_graphs
