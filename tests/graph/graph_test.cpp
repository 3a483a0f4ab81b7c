#include "small_graphs.h"
#include "support/errors.h"

#include <lathe/graph/graph.h>

using namespace lathe;
using namespace lathe::graph;
using small_graphs::numbers;

TEST_CASE("constants are aligned copies") {
  const std::vector<float> elements = numbers(37);
  Graph graph;
  const ValueId id = graph.add_constant("c", {37}, elements);
  const Value& value = graph.value(id);
  CHECK(reinterpret_cast<std::uintptr_t>(value.data->bytes().data()) % 64 == 0);
  CHECK(std::equal(elements.begin(), elements.end(), value.elements<float>().begin()));
  CHECK(value.elements<float>().data() != elements.data());
}

TEST_CASE("constants start zeroed") {
  const auto data = ConstantData::make(100, [](std::span<std::byte> bytes) { bytes[3] = std::byte{7}; });
  CHECK(data->bytes()[3] == std::byte{7});
  CHECK(data->bytes()[99] == std::byte{0});
  CHECK(ConstantData::copy({})->bytes().empty());
}

TEST_CASE("nodes get the inferred shape, and another batch size flows through") {
  const Graph graph = small_graphs::real();
  CHECK(graph.value(graph.outputs()[0]).shape == Shape{1, 10});
  const std::vector<Shape> shapes = graph.shapes_at(32);
  CHECK(shapes[static_cast<std::size_t>(graph.inputs()[0])] == Shape{32, 6, 6, 1});
  CHECK(shapes[static_cast<std::size_t>(graph.outputs()[0])] == Shape{32, 10});
  CHECK(shapes[1] == Shape{4, 3, 3, 1});
}

TEST_CASE("building mistakes are refused with names") {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 6, 6, 1});
  CHECK_ERROR(graph.add_constant("w", {2, 2}, numbers(5)),
              "constant w: 20 bytes given, f32[2,2] has 4 elements");
  CHECK_ERROR(graph.add_constant(Value{.name = "w", .shape = {2}}), "constant w: there is no data");
  CHECK_ERROR(graph.add_node(Activate{}, {7}, "relu"), "node relu (activate): there is no value 7");
  CHECK_ERROR(graph.add_node(Linear{}, {x, x}, "head"), "head: linear: input must be [N,I], given [1,6,6,1]");
}

TEST_CASE("a graph prints a line for each input, constant and node") {
  CHECK(to_string(small_graphs::real()) ==
        "%0 f32[1,6,6,1] = input image\n"
        "conv.weight f32[4,3,3,1] = constant\n"
        "conv.bias f32[4] = constant\n"
        "head.weight f32[10,64] = constant\n"
        "%4 f32[1,4,4,4] = conv2d(activation=relu) %0 conv.weight conv.bias  # conv\n"
        "%5 f32[1,64] = reshape(dims=[64]) %4  # flatten\n"
        "%6 f32[1,10] = linear %5 head.weight  # head\n"
        "output %6\n");
}

TEST_CASE("quantization parameters are printed") {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 4});
  graph.set_outputs({graph.add_node(Quantize{}, {x}, "", Dtype::i8, Quantization{{0.25f}, -128})});
  CHECK(to_string(graph).find("%1 i8[1,4] scale 0.25 zero -128 = quantize %0\n") != std::string::npos);
}

TEST_CASE("operations are counted for convolutions and linear layers") {
  // 4x4 positions x 4 channels x 9 multiply-adds, 10 x 64 multiply-adds.
  CHECK(count_flops(small_graphs::real()) == 2 * (16 * 4 * 9 + 640));
  Graph depthwise;
  const ValueId x = depthwise.add_input("image", {1, 8, 8, 3});
  const ValueId weight = depthwise.add_constant("w", {3, 3, 3, 1}, numbers(27));
  depthwise.set_outputs({depthwise.add_node(Conv2d{.padding = Padding::same(), .groups = 3}, {x, weight})});
  CHECK(count_flops(depthwise) == 2 * 64 * 3 * 9);
}
