#include "small_graphs.h"
#include "support/errors.h"

#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::graph;
using small_graphs::add_integers;
using small_graphs::numbers;

namespace {

/// verify() of the small integer graph after `change`.
template <typename Change>
void verify_changed(Change change) {
  Graph graph = small_graphs::integers();
  change(graph);
  verify(graph);
}

/// A graph of one 8-bit node with the given operands' parameters, dequantized.
Graph one_node(Op op, std::vector<Shape> shapes, std::vector<Quantization> parameters, Quantization output) {
  Graph graph;
  std::vector<ValueId> operands;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const ValueId input = graph.add_input(fmt::format("x{}", i), shapes[i], Dtype::i8);
    graph.value(input).quantization = parameters[i];
    operands.push_back(input);
  }
  const ValueId node = graph.add_node(std::move(op), operands, "node", Dtype::i8, std::move(output));
  graph.set_outputs({graph.add_node(Dequantize{}, {node})});
  return graph;
}

/// The same, verified, with operands of one shape and parameters that all but the output share.
void verify_one(Op op, std::vector<Shape> shapes, Quantization input, Quantization output) {
  verify(one_node(std::move(op), shapes, std::vector(shapes.size(), std::move(input)), std::move(output)));
}

}  // namespace

TEST_CASE("well-formed graphs pass") {
  verify(small_graphs::real());
  verify(small_graphs::integers());
}

TEST_CASE("a graph needs inputs and outputs that exist and depend on each other") {
  Graph graph = small_graphs::real();
  graph.set_outputs({});
  CHECK_ERROR(verify(graph), "at least one input and one output");
  graph.set_outputs({99});
  CHECK_ERROR(verify(graph), "graph outputs: there is no value 99 (the graph has 7)");
  graph.set_outputs({-1});
  CHECK_ERROR(verify(graph), "there is no value -1");
  graph.set_outputs({1});
  CHECK_ERROR(verify(graph), "output value 1 does not depend on the inputs");
}

TEST_CASE("shapes must be the inferred ones") {
  Graph graph = small_graphs::real();
  graph.value(4).shape = {1, 4, 4, 5};
  CHECK_ERROR(verify(graph), "node 0 conv (conv2d): output is [1,4,4,4], the value has [1,4,4,5]");
  graph = small_graphs::real();
  graph.value(0).shape = {1, 6, 6, 2};
  CHECK_ERROR(verify(graph), "node 0 conv (conv2d): conv2d: input has 2 channels, weight expects 1");
  graph = small_graphs::real();
  graph.value(0).shape = {2, 6, 6, 1};
  CHECK_ERROR(verify(graph), "input image: the shape must be [1,...], given [2,6,6,1]");
}

TEST_CASE("constants must have the bytes of their shape") {
  Graph graph = small_graphs::real();
  graph.value(1).shape = {4, 3, 3, 2};
  CHECK_ERROR(verify(graph), "value 1 conv.weight: constant of f32[4,3,3,2] has 144 bytes");
  graph = small_graphs::real();
  graph.value(1).data = nullptr;
  CHECK_ERROR(verify(graph), "reads value 1 before it is made");
  graph = small_graphs::real();
  graph.value(4).data = graph.value(1).data;
  CHECK_ERROR(verify(graph), "value 4: constant of f32[1,4,4,4] has 144 bytes");
}

TEST_CASE("weights may be computed, but not from the inputs") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4});
  const ValueId w = graph.add_constant("w", {4, 4}, numbers(16));
  const ValueId mask = graph.add_constant("mask", {4, 4}, numbers(16));
  const ValueId masked = graph.add_node(Multiply{}, {w, mask});
  const ValueId y = graph.add_node(Linear{}, {x, masked});
  graph.set_outputs({y});
  verify(graph);
  graph.set_outputs({graph.add_node(Linear{}, {x, y}, "dynamic")});
  CHECK_ERROR(verify(graph), "node 2 dynamic (linear): operand 1 must not depend on the graph's inputs");
}

TEST_CASE("constants among activations must not fix the batch") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4});
  graph.set_outputs({graph.add_node(Add{}, {x, graph.add_constant("c", {1, 4}, numbers(4))})});
  CHECK_ERROR(verify(graph), "at batch size 2: add: inputs must have the same shape, given [2,4] and [1,4]");
}

TEST_CASE("training operations are refused") {
  Graph graph;
  graph.set_outputs({graph.add_node(Dropout{}, {graph.add_input("x", {1, 4})}, "drop")});
  CHECK_ERROR(verify(graph), "node 0 drop (dropout): is for training only");
}

TEST_CASE("a graph that is too large for 32-bit indices is refused") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 1, 1, 1});
  graph.set_outputs({graph.add_node(Pad{.top = 2000000000, .left = 2}, {x})});
  CHECK_ERROR(verify(graph), "has more than 2147483647 elements");
}

TEST_CASE("dtypes that no op takes are refused") {
  CHECK_ERROR(verify_changed([](Graph& g) { g.value(small_graphs::image).dtype = Dtype::f16; }),
              "no op takes f16");
  CHECK_ERROR(verify_changed([](Graph& g) { g.value(small_graphs::conv).dtype = Dtype::i32; }),
              "no op takes i32");
  CHECK_ERROR(verify_changed([](Graph& g) {
                g.value(small_graphs::conv).dtype = Dtype::f32;
                g.value(small_graphs::conv).quantization.reset();
              }),
              "node 1 conv (conv2d): output must be i8, given f32[1,4,4,2]");
  CHECK_ERROR(verify_changed([](Graph& g) {
                g.value(small_graphs::result).dtype = Dtype::i8;
                g.value(small_graphs::result).quantization = Quantization{{1.f}, 0};
              }),
              "node 5 (dequantize): output must be f32, given i8[1,3] scale 1 zero 0");
}

TEST_CASE("quantization parameters must be possible") {
  const auto with = [](ValueId id, Quantization q) {
    return [id, q](Graph& g) { g.value(id).quantization = q; };
  };
  using namespace small_graphs;
  CHECK_ERROR(verify_changed(with(quantized, {{0.5f}, -129})),
              "value 5: zero point -129 is not possible with i8");
  CHECK_ERROR(verify_changed(with(quantized, {{0.f}, 0})), "scale 0 must be positive");
  CHECK_ERROR(verify_changed(with(quantized, {{-1.f}, 0})), "scale -1 must be positive");
  CHECK_ERROR(verify_changed(with(quantized, {{1e-40f}, 0})), "not denormal");
  CHECK_ERROR(verify_changed(with(quantized, {{std::nanf("")}, 0})), "scale nan must be positive");
  CHECK_ERROR(verify_changed(with(quantized, {{std::numeric_limits<float>::infinity()}, 0})), "scale inf");
  CHECK_ERROR(verify_changed(with(quantized, {{0.5f, 0.5f}, 0})),
              "2 scales and zero point 0 do not fit i8[1,6,6,1]");
  CHECK_ERROR(verify_changed(with(quantized, {{}, 0})), "0 scales");
  CHECK_ERROR(verify_changed(with(conv_weight, {{1.f, 1.f, 1.f}, 0})),
              "3 scales and zero point 0 do not fit");
  CHECK_ERROR(verify_changed(with(conv_weight, {{1.f, 1.f}, 1})), "2 scales and zero point 1 do not fit");
  CHECK_ERROR(verify_changed(with(head_weight, {{0.5f}, 1})), "weight must have zero point 0");
  CHECK_ERROR(verify_changed(with(image, {{0.5f}, 0})),
              "value 0 image: f32 must not have quantization parameters");
  CHECK_ERROR(verify_changed([](Graph& g) { g.value(conv).quantization.reset(); }),
              "value 6: i8 must have quantization parameters");
}

TEST_CASE("the bias has the scale of the products") {
  using namespace small_graphs;
  CHECK_ERROR(verify_changed([](Graph& g) {
                g.value(conv_bias).quantization = Quantization{{0.125f, 0.125f}, 0};
              }),
              "scale 1 of the bias is 0.125, input times weight scale is 0.25");
  CHECK_ERROR(verify_changed([](Graph& g) {
                g.value(conv_bias).quantization = Quantization{{0.125f}, 0};
              }),
              "bias has 1 scales, weight has 2");
}

TEST_CASE("weights and biases that could overflow the accumulator are refused") {
  using namespace small_graphs;
  const std::vector<std::int32_t> large{std::numeric_limits<std::int32_t>::max() - 9 * 100 * 255 + 1, 0};
  CHECK_ERROR(verify_changed([&](Graph& g) {
                g.value(conv_bias).data = ConstantData::copy(std::as_bytes(std::span(large)));
              }),
              "node 1 conv (conv2d): an accumulator of up to 2147483648");
  CHECK_ERROR(verify_changed([&](Graph& g) {
                g.value(head).quantization = Quantization{{1e-3f}, 3};
              }),
              "does not fit into 32 bits");
  const std::vector<std::int8_t> low(18, -128);
  CHECK_ERROR(verify_changed([&](Graph& g) {
                g.value(conv_weight).data = ConstantData::copy(std::as_bytes(std::span(low)));
              }),
              "weight has an element below -127");
}

TEST_CASE("ops that hand numbers on keep the parameters") {
  using namespace small_graphs;
  CHECK_ERROR(verify_changed([](Graph& g) {
                g.value(pooled).quantization = Quantization{{64.f}, 0};
              }),
              "node 2 pool (max_pool2d): input and output must have the same parameters");
  const Quantization q{{0.5f}, 3};
  for (const Op& op :
       {Op(MaxPool2d{}), Op(AvgPool2d{}), Op(Reshape{{16}}), Op(Concat{}), Op(Pad{.top = 1})}) {
    verify_one(op, {{1, 4, 4, 1}}, q, q);
    CHECK_ERROR(verify_one(op, {{1, 4, 4, 1}}, q, {{0.25f}, 3}), "the same parameters");
  }
  CHECK_ERROR(verify(one_node(Concat{}, {{1, 4}, {1, 4}}, {q, {{0.25f}, 3}}, q)), "the same parameters");
}

TEST_CASE("ops with output parameters of their own take any that can be computed") {
  const Quantization q{{0.5f}, 3}, other{{0.25f}, -7}, tiny{{1e-30f}, 0};
  verify_one(GlobalAvgPool{}, {{1, 4, 4, 2}}, q, other);
  verify_one(Add{.activation = Activation::relu6}, {{1, 4}, {1, 4}}, q, other);
  verify_one(Multiply{}, {{1, 4, 4, 2}, {1, 2}}, q, other);
  verify_one(Activate{.activation = Activation::silu}, {{1, 4}}, q, other);
  CHECK_ERROR(verify_one(GlobalAvgPool{}, {{1, 4, 4, 2}}, q, tiny), "does not fit into 32 bits");
  CHECK_ERROR(verify_one(Add{}, {{1, 4}, {1, 4}}, q, tiny),
              "output scale 1e-30 is too small for inputs of scale 0.5");
  CHECK_ERROR(verify_one(Multiply{}, {{1, 4}, {1, 4}}, q, tiny), "does not fit into 32 bits");
  CHECK_ERROR(verify_one(Add{.activation = Activation::silu}, {{1, 4}, {1, 4}}, q, q),
              "activation silu is not possible");
}

TEST_CASE("softmax, log-softmax and sigmoid have fixed output parameters") {
  const Quantization q{{0.5f}, 3}, probability{{1.f / 256}, -128}, logarithm{{16.f / 256}, 127};
  verify_one(Softmax{}, {{1, 4}}, q, probability);
  verify_one(LogSoftmax{}, {{1, 4}}, q, logarithm);
  verify_one(Activate{.activation = Activation::sigmoid}, {{1, 4}}, q, probability);
  CHECK_ERROR(verify_one(Softmax{}, {{1, 4}}, q, q), "output must have scale 0.00390625 zero -128");
  CHECK_ERROR(verify_one(LogSoftmax{}, {{1, 4}}, q, probability), "output must have scale 0.0625 zero 127");
}

TEST_CASE("u8 images enter shifted by 128") {
  const auto enter = [](Quantization from, Quantization to) {
    Graph graph;
    const ValueId x = graph.add_input("image", {1, 4}, Dtype::u8);
    graph.value(x).quantization = from;
    graph.set_outputs({graph.add_node(Dequantize{}, {graph.add_node(Quantize{}, {x}, "", Dtype::i8, to)})});
    verify(graph);
  };
  enter({{1.f / 255}, 0}, {{1.f / 255}, -128});
  CHECK_ERROR(enter({{1.f / 255}, 0}, {{1.f / 255}, 0}),
              "must have the same scale and zero points 128 apart");
  CHECK_ERROR(enter({{1.f / 255}, 0}, {{1.f / 256}, -128}),
              "must have the same scale and zero points 128 apart");
}

TEST_CASE("batch norm has no integer form") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4}, Dtype::i8);
  graph.value(x).quantization = Quantization{{1.f}, 0};
  std::vector<ValueId> operands{x};
  for (const char* name : {"gamma", "beta", "mean", "variance"})
    operands.push_back(graph.add_constant(name, {4}, numbers(4)));
  graph.set_outputs({graph.add_node(BatchNorm{}, operands, "bn", Dtype::i8, Quantization{{1.f}, 0})});
  CHECK_ERROR(verify(graph), "node 0 bn (batch_norm): there is no integer form of it");
}

TEST_CASE("float ops do not take integers") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 8});
  const ValueId w = graph.add_constant("w", {2, 8}, numbers(16));
  const ValueId b = add_integers<std::int8_t>(graph, "b", {2}, {1, 1}, {1.f});
  graph.set_outputs({graph.add_node(Linear{}, {x, w, b}, "head")});
  CHECK_ERROR(verify(graph), "node 0 head (linear): inputs must be f32, given i8[2]");
}

namespace {

/// A linear layer of f32 activations with an i8 weight.
Graph dynamic_layer(std::vector<std::int8_t> weight, std::vector<float> scales) {
  Graph graph;
  const auto inputs = static_cast<std::int64_t>(weight.size() / 2);
  const ValueId x = graph.add_input("x", {1, inputs});
  const ValueId w = add_integers<std::int8_t>(graph, "w", {2, inputs}, std::move(weight), std::move(scales));
  graph.set_outputs({graph.add_node(Linear{}, {x, w, graph.add_constant("b", {2}, numbers(2))}, "head")});
  return graph;
}

/// f32 in, an i16 linear layer, f32 out.
template <typename Bias>
Graph wide_layer(Quantization x, std::vector<Bias> bias, std::vector<float> bias_scales, Quantization y) {
  Graph graph;
  const ValueId input = graph.add_input("x", {1, 2});
  const ValueId q = graph.add_node(Quantize{}, {input}, "", Dtype::i16, std::move(x));
  const ValueId w = add_integers<std::int8_t>(graph, "w", {2, 2}, {1, 2, 3, 127}, {0.5f, 0.25f});
  const ValueId b = add_integers<Bias>(graph, "b", {2}, std::move(bias), std::move(bias_scales));
  const ValueId z = graph.add_node(Linear{}, {q, w, b}, "head", Dtype::i16, std::move(y));
  graph.set_outputs({graph.add_node(Dequantize{}, {z})});
  return graph;
}

}  // namespace

TEST_CASE("layers that quantize their input have an i8 weight and an f32 bias") {
  verify(dynamic_layer({1, 2, 3, -127}, {0.5f, 0.25f}));
  CHECK_ERROR(verify(dynamic_layer({1, 2, 3, -128}, {0.5f, 0.25f})), "weight has an element below -127");
  CHECK_ERROR(verify(dynamic_layer(std::vector<std::int8_t>(140'000, 127), {1.f, 1.f})),
              "an accumulator of up to 2266950000 does not fit into 32 bits");
  Graph graph = dynamic_layer({1, 2, 3, 4}, {1.f});
  graph.value(graph.nodes()[0].output).dtype = Dtype::i8;
  graph.value(graph.nodes()[0].output).quantization = Quantization{{1.f}, 0};
  CHECK_ERROR(verify(graph), "output must be f32, given i8");
}

TEST_CASE("layers of 16-bit activations have a 64-bit bias and zero points of 0") {
  const Quantization half{{0.5f}, 0}, one{{1.f}, 0};
  verify(wide_layer<std::int64_t>(half, {1, 2}, {0.25f, 0.125f}, one));
  CHECK_ERROR(verify(wide_layer<std::int32_t>(half, {1, 2}, {0.25f, 0.125f}, one)), "bias must be i64");
  CHECK_ERROR(verify(wide_layer<std::int64_t>(half, {1, 2}, {0.25f, 0.5f}, one)),
              "scale 1 of the bias is 0.5");
  CHECK_ERROR(verify(wide_layer<std::int64_t>({{0.5f}, 3}, {1, 2}, {0.25f, 0.125f}, one)),
              "zero point 3 is not possible with i16");
  CHECK_ERROR(verify(wide_layer<std::int64_t>(half, {1, std::numeric_limits<std::int64_t>::min()},
                                              {0.25f, 0.125f}, one)),
              "does not fit into 62 bits");
  CHECK_ERROR(verify(wide_layer<std::int64_t>(half, {1, 2}, {0.25f, 0.125f}, {{1e-12f}, 0})),
              "rescaling factor");
}

TEST_CASE("all activations of an integer node have the same width") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2});
  const ValueId narrow = graph.add_node(Quantize{}, {x}, "", Dtype::i8, Quantization{{1.f}, 0});
  const ValueId wide = graph.add_node(Quantize{}, {x}, "", Dtype::i16, Quantization{{1.f}, 0});
  const ValueId sum = graph.add_node(Add{}, {wide, narrow}, "sum", Dtype::i16, Quantization{{1.f}, 0});
  graph.set_outputs({graph.add_node(Dequantize{}, {sum})});
  CHECK_ERROR(verify(graph), "node 2 sum (add): input must be i16, given i8[1,2]");
}

TEST_CASE("halves are constants among real operands only") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2});
  const std::vector<std::uint16_t> ones(4, 0x3c00);
  const ValueId w = graph.add_constant({.name = "w",
                                        .shape = {2, 2},
                                        .dtype = Dtype::f16,
                                        .data = ConstantData::copy(std::as_bytes(std::span(ones)))});
  const ValueId y = graph.add_node(Linear{}, {x, w}, "head");
  graph.set_outputs({y});
  verify(graph);
  graph.value(w).quantization = Quantization{{1.f}, 0};
  CHECK_ERROR(verify(graph), "f16 must not have quantization parameters");
}
