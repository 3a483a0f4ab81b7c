#include "random_graph.h"
#include "support/errors.h"
#include "variant_error.h"

#include <lathe/compress/quantize.h>
#include <lathe/graph/quantization.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::graph;
using compress::calibrate;
using compress::FloatNode;
using compress::quantize;
using compress::QuantizeOptions;
using compress::Ranges;

namespace {

constexpr QuantizeOptions kPixels{.input = compress::Border::u8};

ValueId constant(Graph& graph, std::string name, const Shape& shape, std::vector<float> elements) {
  return graph.add_constant(std::move(name), shape, elements);
}

/// One range for every activation.
Ranges ranges_of(const Graph& graph, Range range) {
  Ranges ranges(graph.values().size());
  for (std::size_t i = 0; i < ranges.size(); ++i)
    if (!graph.values()[i].is_constant()) ranges[i] = range;
  return ranges;
}

/// linear [2,3] with the given weights and biases.
Graph linear_graph(std::vector<float> weight, std::vector<float> bias) {
  Graph graph;
  std::vector<ValueId> inputs{graph.add_input("x", {1, 3}),
                              constant(graph, "head.weight", {2, 3}, std::move(weight))};
  if (!bias.empty()) inputs.push_back(constant(graph, "head.bias", {2}, std::move(bias)));
  graph.set_outputs({graph.add_node(Linear{}, inputs, "head")});
  return graph;
}

const graph::Node* find(const Graph& graph, std::string_view name) {
  for (const graph::Node& node : graph.nodes())
    if (node.name == name) return &node;
  return nullptr;
}

/// The quantization of a named node's output.
Quantization parameters(const Graph& graph, std::string_view name) {
  return *graph.value(find(graph, name)->output).quantization;
}

int count(const Graph& graph, std::string_view op) {
  return static_cast<int>(
      std::ranges::count_if(graph.nodes(), [&](const graph::Node& node) { return name(node.op) == op; }));
}

bool in_integers(const Graph& graph, std::string_view node) {
  return graph.value(find(graph, node)->output).dtype != Dtype::f32;
}

}  // namespace

TEST_CASE("parameters cover the range and hit 0 exactly") {
  const auto check_covers = [](Range range) {
    const Quantization q = activation_parameters(range, 8);
    const float scale = q.scale[0];
    CHECK(scale == doctest::Approx((range.max - range.min) / 255));
    // Nudging the zero point moves the ends by half a step.
    CHECK(scale * static_cast<float>(-128 - q.zero_point) <= range.min + 0.51f * scale);
    CHECK(scale * static_cast<float>(127 - q.zero_point) >= range.max - 0.51f * scale);
  };
  check_covers({0, 1});
  check_covers({-1, 0});
  check_covers({-0.3f, 6});
  check_covers({-1e-6f, 1e6f});
  CHECK(activation_parameters({0, 1}, 8) == Quantization{{1.f / 255}, -128});
  CHECK(activation_parameters({-1, 0}, 8).zero_point == 127);
  CHECK(activation_parameters({-128, 127}, 8) == Quantization{{1.f}, 0});
}

TEST_CASE("ranges that are empty, tiny or huge give possible parameters") {
  for (Range range : {Range{0, 0}, Range{0, 1e-42f}, Range{-1e-38f, 0}, Range{-3e38f, 3e38f}}) {
    const Quantization q = activation_parameters(range, 8);
    CHECK(std::isnormal(q.scale[0]));
    CHECK(q.zero_point >= -128);
    CHECK(q.zero_point <= 127);
  }
  // A range without 0 is widened to it.
  CHECK(activation_parameters({2, 3}, 8) == activation_parameters({0, 3}, 8));
}

TEST_CASE("calibration sees the smallest and largest of all batches and 0") {
  const Graph graph = linear_graph({1, 0, 0, 0, 1, 0}, {});
  const std::array batches{Tensor::from({1, -2, 3, 4, 5, 6}, {2, 3}), Tensor::from({7, 8, -9}, {1, 3})};
  const Ranges ranges = calibrate(graph, batches);
  REQUIRE(ranges.size() == 3);
  CHECK(ranges[0] == Range{-9, 8});
  CHECK(!ranges[1].has_value());  // a constant
  CHECK(ranges[2] == Range{-2, 8});
  const std::array positive{Tensor::from({1, 2, 3}, {1, 3})};
  CHECK(calibrate(graph, positive)[0]->min == 0);
}

TEST_CASE("calibration refuses nothing, wrong shapes and what is not finite") {
  const Graph graph = linear_graph({1, 0, 0, 0, 1, 0}, {});
  CHECK_ERROR(calibrate(graph, {}), "calibrate: there are no images");
  const std::array wrong{Tensor::from({1, 2}, {1, 2})};
  CHECK_ERROR(calibrate(graph, wrong), "evaluate: input x must be f32[1,3]");
  const std::array nan{Tensor::from({1, std::nanf(""), 3}, {1, 3})};
  CHECK_ERROR(calibrate(graph, nan), "calibrate: input x has values that are not finite");
  const std::array large{Tensor::from({3e38f, 3e38f, 0}, {1, 3})};
  CHECK_ERROR(calibrate(linear_graph({1, 1, 0, 0, 1, 0}, {}), large),
              "calibrate: node 0 head (linear) has values that are not finite");
}

TEST_CASE("weights are symmetric by output channel, the largest is 127") {
  const Graph graph = linear_graph({0.5f, -1, 0.25f, 0.001f, 0.002f, -0.0005f}, {0.1f, -0.2f});
  const Graph integer = quantize(graph, ranges_of(graph, {-1, 1}));
  const graph::Node& node = *find(integer, "head");
  const Value &weight = integer.value(node.inputs[1]), &bias = integer.value(node.inputs[2]);
  CHECK(weight.quantization->scale == std::vector<float>{1.f / 127, 0.002f / 127});
  CHECK(std::ranges::equal(weight.elements<std::int8_t>(), std::vector<int>{64, -127, 32, 64, 127, -32}));
  const float in = parameters(integer, "head").scale[0];
  CHECK(bias.quantization->scale == std::vector<float>{in * (1.f / 127), in * (0.002f / 127)});
  CHECK(bias.dtype == Dtype::i32);
  CHECK(weight.name == "head.weight");
}

TEST_CASE("a bias too large for 32 bits coarsens the weights of its channel only") {
  const Graph graph = linear_graph({1e-6f, -1e-6f, 0, 1, 1, 1}, {1000, 1});
  const Graph integer = quantize(graph, ranges_of(graph, {-1, 1}));
  const graph::Node& node = *find(integer, "head");
  const Value &weight = integer.value(node.inputs[1]), &bias = integer.value(node.inputs[2]);
  CHECK(std::abs(bias.elements<std::int32_t>()[0]) <= (1 << 30) + 64);
  CHECK(std::abs(bias.elements<std::int32_t>()[0]) > 1 << 29);
  CHECK(static_cast<double>(bias.quantization->scale[0]) * bias.elements<std::int32_t>()[0] ==
        doctest::Approx(1000));
  CHECK(weight.quantization->scale[0] > 1e-6f / 127);
  CHECK(weight.quantization->scale[1] == 1.f / 127);
}

TEST_CASE("a channel of zeros keeps its bias") {
  const Graph graph = linear_graph({0, 0, 0, 1, 1, 1}, {-0.75f, 1});
  const Graph integer = quantize(graph, ranges_of(graph, {-1, 1}));
  const Value& bias = integer.value(find(integer, "head")->inputs[2]);
  CHECK(static_cast<double>(bias.quantization->scale[0]) * bias.elements<std::int32_t>()[0] ==
        doctest::Approx(-0.75));
}

TEST_CASE("a channel without weights, whatever its bias, leaves the layer to the vector kernels") {
  for (int i = 0; i < 100; ++i) {
    CAPTURE(i);
    const auto size = static_cast<float>(i);
    const Graph graph = linear_graph({0, 0, 0, 1, 1, 1}, {1e-5f * size * size * size, 0.5f});
    Ranges ranges = ranges_of(graph, {-1, 1 + 0.037f * size});
    ranges[0] = Range{0, 1};
    for (const auto scheme : {compress::Scheme::int8, compress::Scheme::int16x8}) {
      const runtime::Plan plan(quantize(graph, ranges, {.scheme = scheme}));
      for (const runtime::StepInfo& step : plan.steps()) {
        CAPTURE(step.kernel);
        CHECK(!step.kernel.ends_with("_reference"));
      }
    }
  }
}

TEST_CASE("an output that stays at 0 while calibrating does not break the arithmetic") {
  for (float top : {0.f, 1e-30f, 1e-6f}) {
    const Graph graph = linear_graph({1, 1, 1, 2, 2, 2}, {1, 1});
    Ranges ranges = ranges_of(graph, {-1, 1});
    ranges.back() = Range{0, top};
    verify(quantize(graph, ranges));
  }
}

TEST_CASE("ops that hand numbers on share parameters, others have their own") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4, 4, 2});
  const ValueId y =
      graph.add_node(MaxPool2d{.stride_h = 1, .stride_w = 1, .padding = Padding::same()}, {x}, "pool");
  const ValueId sum = graph.add_node(Add{}, {x, y}, "sum");
  const ValueId joined = graph.add_node(Concat{}, {y, sum}, "joined");
  const ValueId mean = graph.add_node(GlobalAvgPool{}, {joined}, "mean");
  graph.set_outputs({graph.add_node(Softmax{}, {mean}, "softmax")});
  Ranges ranges(graph.values().size());
  ranges[0] = {{-1, 1}}, ranges[1] = {{-1, 1}}, ranges[2] = {{-2, 2}}, ranges[3] = {{-2, 2}};
  ranges[4] = {{-1, 0.5f}};
  const Graph integer = quantize(graph, ranges);
  CHECK(parameters(integer, "pool") == activation_parameters({-2, 2}, 8));
  CHECK(parameters(integer, "sum") == activation_parameters({-2, 2}, 8));
  CHECK(parameters(integer, "joined") == activation_parameters({-2, 2}, 8));
  CHECK(parameters(integer, "mean") == activation_parameters({-1, 0.5f}, 8));
  CHECK(parameters(integer, "softmax") == Quantization{{1.f / 256}, -128});
  CHECK(to_string(integer.nodes().front().op) == "quantize");
  CHECK(to_string(integer.nodes().back().op) == "dequantize");
}

TEST_CASE("u8 images enter without a multiplication") {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 4, 4, 1});
  graph.set_outputs({graph.add_node(MaxPool2d{}, {x}, "pool")});
  const Graph integer = quantize(graph, ranges_of(graph, {0, 1}), kPixels);
  const Value& image = integer.value(integer.inputs()[0]);
  CHECK(image.dtype == Dtype::u8);
  CHECK(image.quantization == Quantization{{1.f / 255}, 0});
  CHECK(parameters(integer, "pool") == Quantization{{1.f / 255}, -128});
}

TEST_CASE("a plan gives the same bits for u8 images as for the same images in f32") {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 16, 16, 1});
  std::vector<float> weight(2 * 9), matrix(3 * 2);
  Rng(3).fill_uniform(weight, -1, 1);
  Rng(4).fill_uniform(matrix, -1, 1);
  const ValueId y = graph.add_node(Conv2d{.padding = Padding::same(), .activation = Activation::relu},
                                   {x, constant(graph, "conv.weight", {2, 3, 3, 1}, weight)}, "conv");
  const ValueId mean = graph.add_node(GlobalAvgPool{}, {y}, "mean");
  graph.set_outputs(
      {graph.add_node(Linear{}, {mean, constant(graph, "head.weight", {3, 2}, matrix)}, "head")});

  std::vector<std::uint8_t> pixels(256);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
  Tensor images = Tensor::empty({1, 16, 16, 1});
  std::ranges::transform(pixels, images.mutable_span<float>().begin(),
                         [](std::uint8_t pixel) { return static_cast<float>(pixel) / 255; });
  const Ranges ranges = calibrate(graph, std::span(&images, 1));
  runtime::Plan real(quantize(graph, ranges)), bytes(quantize(graph, ranges, kPixels));
  std::ranges::copy(images.span<float>(), real.input<float>().begin());
  std::ranges::copy(pixels, bytes.input<std::uint8_t>().begin());
  real.run();
  bytes.run();
  CHECK(std::ranges::equal(real.output<float>(), bytes.output<float>()));
  CHECK(real.output<float>()[0] != real.output<float>()[1]);
}

TEST_CASE("images that are no pixels / 255 are refused as u8") {
  const Graph graph = linear_graph({1, 1, 1, 1, 1, 1}, {});
  CHECK_ERROR(quantize(graph, ranges_of(graph, {-1, 1}), kPixels),
              "quantize: u8 input is pixel / 255, but input x goes from -1 to 1");
}

TEST_CASE("parts with fixed parameters are rescaled for a concatenation, unless all are alike") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4});
  const ValueId p = graph.add_node(Softmax{}, {x}, "p"),
                q = graph.add_node(Activate{Activation::sigmoid}, {x}, "q");
  const ValueId sum = graph.add_node(Add{}, {x, x}, "sum");
  graph.set_outputs({graph.add_node(Concat{}, {p, q}, "alike"), graph.add_node(Concat{}, {p, sum}, "mixed")});
  const Graph integer = quantize(graph, ranges_of(graph, {-2, 2}));
  CHECK(parameters(integer, "alike") == Quantization{{1.f / 256}, -128});
  CHECK(parameters(integer, "sum") == activation_parameters({-2, 2}, 8));
  CHECK(parameters(integer, "mixed") == activation_parameters({-2, 2}, 8));
  CHECK(to_string(integer).find("activate(activation=none)") != std::string::npos);
}

TEST_CASE("batch norm of images that no layer takes in runs in integers, as a convolution of one pixel") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4, 4, 3});
  std::vector<ValueId> inputs{graph.add_node(MaxPool2d{}, {x}, "pool")};
  inputs.push_back(constant(graph, "gamma", {3}, {2, -1, 0}));
  inputs.push_back(constant(graph, "beta", {3}, {0.5f, 0.25f, -0.125f}));
  inputs.push_back(constant(graph, "mean", {3}, {0.25f, 0, 1}));
  inputs.push_back(constant(graph, "variance", {3}, {1, 0.25f, 4}));
  graph.set_outputs({graph.add_node(BatchNorm{.activation = Activation::relu}, inputs, "bn")});
  const Tensor images = random_input(graph, 16, 1);
  const Ranges ranges = calibrate(graph, std::span(&images, 1));
  for (const compress::Scheme scheme : {compress::Scheme::int8, compress::Scheme::int16x8}) {
    std::vector<FloatNode> left;
    const Graph integer = quantize(graph, ranges, {.scheme = scheme}, &left);
    CHECK(left.empty());
    const graph::Node* norm = find(integer, "bn");
    REQUIRE(norm != nullptr);
    CHECK(std::get<Conv2d>(norm->op) == Conv2d{.groups = 3, .activation = Activation::relu});
    CHECK(integer.value(norm->inputs[1]).name == "gamma");
    CHECK(integer.value(norm->inputs[2]).name == "beta");
    CHECK(variant_error(integer, graph, images, runtime::Level::reference) <
          (scheme == compress::Scheme::int8 ? 0.01 : 1e-4));
  }
}

TEST_CASE("nodes without an integer form stay float and are listed with the reason") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2});
  const ValueId pre = graph.add_node(Activate{}, {x}, "pre");
  std::vector<ValueId> inputs{pre};
  for (const char* name : {"g", "b", "m", "v"}) inputs.push_back(constant(graph, name, {2}, {1, 1}));
  const ValueId norm = graph.add_node(BatchNorm{}, inputs, "bn");
  const ValueId w = constant(graph, "w", {2, 2}, {1, 1, 1, 1});
  const ValueId head = graph.add_node(Linear{}, {norm, w}, "head");
  const ValueId silu = graph.add_node(Linear{Activation::silu}, {head, w}, "silu");
  const ValueId product = graph.add_node(Multiply{}, {w, w}, "mask");
  graph.set_outputs({graph.add_node(Linear{}, {silu, product}, "masked")});

  std::vector<FloatNode> left{{7, "of an earlier call"}};
  const Graph mixed = quantize(graph, ranges_of(graph, {-2, 2}), {}, &left);
  REQUIRE(left.size() == 4);
  CHECK(left[0].node == 1);
  CHECK(left[0].reason ==
        "of anything but images it has no integer form where it cannot be folded into a layer before it");
  CHECK(left[1].reason == "activation silu is not possible in integers");
  CHECK(left[2].reason == "operand 0 is a constant (fold constants first)");
  CHECK(left[3].node == 5);
  CHECK(left[3].reason == "operand 1 is not a constant (fold constants first)");
  CHECK(in_integers(mixed, "pre"));
  CHECK(in_integers(mixed, "head"));
  CHECK(!in_integers(mixed, "bn"));
  CHECK(!in_integers(mixed, "silu"));
  CHECK(count(mixed, "quantize") == 2);    // x, norm
  CHECK(count(mixed, "dequantize") == 2);  // pre, head
  CHECK(mixed.value(find(mixed, "silu")->inputs[1]).dtype == Dtype::f32);
  verify(mixed);
}

TEST_CASE("a value without a range stays float, and so do the nodes that touch it") {
  Graph graph = linear_graph({1, 0, 0, 0, 1, 0}, {});
  const ValueId w = constant(graph, "w", {2, 2}, {1, 1, 1, 1});
  const ValueId second = graph.add_node(Linear{}, {graph.outputs()[0], w}, "second");
  graph.set_outputs({graph.add_node(Linear{}, {second, w}, "third")});
  Ranges ranges = ranges_of(graph, {-2, 2});
  ranges[static_cast<std::size_t>(second)] = {};
  std::vector<FloatNode> left;
  const Graph mixed = quantize(graph, ranges, {}, &left);
  CHECK(in_integers(mixed, "head"));
  REQUIRE(left.size() == 2);
  CHECK(left[0].reason == "its output has no range");
  CHECK(left[1].reason == "operand 0 has no range");

  const Graph real = quantize(graph, Ranges(graph.values().size()), {}, &left);
  CHECK(left.size() == 3);
  CHECK(to_string(real) == to_string(graph));
}

TEST_CASE("a value is converted once, however many read it") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2});
  const ValueId w = constant(graph, "w", {2, 2}, {1, 1, 1, 1});
  const ValueId a = graph.add_node(Linear{}, {x, w}, "a");
  const ValueId b = graph.add_node(Linear{Activation::silu}, {a, w}, "b"),
                c = graph.add_node(Linear{Activation::silu}, {a, w}, "c");
  const ValueId d = graph.add_node(Linear{}, {b, w}, "d"), e = graph.add_node(Linear{}, {b, w}, "e");
  graph.set_outputs({c, d, e, a});
  const Graph mixed = quantize(graph, ranges_of(graph, {-2, 2}));
  CHECK(count(mixed, "quantize") == 2);    // x, b
  CHECK(count(mixed, "dequantize") == 3);  // a, d, e
  std::size_t weights = 0;
  for (const Value& value : mixed.values()) weights += value.is_constant() && value.dtype == Dtype::f32;
  CHECK(weights == 1);
}

TEST_CASE("ranges pass through ops that hand numbers on, both ways where that changes nothing") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4, 4, 2});
  const ValueId w = constant(graph, "w", {2, 1, 1, 2}, {1, 1, 1, 1});
  const ValueId a = graph.add_node(Conv2d{}, {x, w}, "a");
  const ValueId pool = graph.add_node(MaxPool2d{}, {a}, "pool");
  const ValueId b = graph.add_node(Conv2d{}, {pool, w}, "b");
  const ValueId mean = graph.add_node(AvgPool2d{}, {b}, "mean");
  const ValueId flat = graph.add_node(Reshape{{2}}, {mean}, "flat");
  graph.set_outputs({graph.add_node(Softmax{}, {flat}, "softmax")});
  Ranges ranges(graph.values().size());
  ranges[static_cast<std::size_t>(x)] = Range{-1, 1};
  ranges[static_cast<std::size_t>(pool)] = Range{-2, 2};
  ranges[static_cast<std::size_t>(flat)] = Range{-3, 3};
  std::vector<FloatNode> left;
  const Graph mixed = quantize(graph, ranges, {}, &left);
  CHECK(parameters(mixed, "a") == activation_parameters({-2, 2}, 8));
  CHECK(parameters(mixed, "softmax") == Quantization{{1.f / 256}, -128});
  // The mean of clamped numbers is not the clamped mean.
  REQUIRE(left.size() == 2);
  CHECK(left[0].reason == "its output has no range");
  CHECK(left[0].node == 2);
  CHECK(left[1].node == 3);
}

TEST_CASE("a layer whose sums could leave 32 bits stays float") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 70'000});
  const ValueId w = constant(graph, "w", {2, 70'000}, std::vector<float>(140'000, 1));
  const ValueId large = graph.add_node(Linear{}, {x, w}, "large");
  const ValueId v = constant(graph, "v", {2, 2}, {1, 1, 1, 1});
  graph.set_outputs({graph.add_node(Linear{}, {large, v}, "small")});
  std::vector<FloatNode> left;
  const Graph mixed = quantize(graph, ranges_of(graph, {-1, 1}), {}, &left);
  REQUIRE(left.size() == 1);
  CHECK(left[0].node == 0);
  CHECK(left[0].reason.find("does not fit into 32 bits") != std::string::npos);
  CHECK(in_integers(mixed, "small"));
  CHECK(count(mixed, "quantize") == 1);
}

TEST_CASE("u8 images reach float nodes as pixel / 255") {
  Graph graph;
  const ValueId x = graph.add_input("image", {1, 2});
  const ValueId w = constant(graph, "w", {2, 2}, {1, 0, 0, 1});
  graph.set_outputs({graph.add_node(Linear{Activation::sigmoid}, {x, w}, "head")});
  const Graph mixed = quantize(graph, Ranges(graph.values().size()), kPixels);
  runtime::Plan plan(mixed);
  plan.input<std::uint8_t>()[0] = 255;
  plan.input<std::uint8_t>()[1] = 51;
  plan.run();
  CHECK(plan.output<float>()[0] == doctest::Approx(1 / (1 + std::exp(-1.f))));
  CHECK(plan.output<float>()[1] == doctest::Approx(1 / (1 + std::exp(-0.2f))));
}

TEST_CASE("ranges that are none are refused") {
  const Graph graph = linear_graph({1, 1, 1, 1, 1, 1}, {});
  CHECK_ERROR(quantize(graph, Ranges(2)), "quantize: 2 ranges given for 3 values");
  CHECK_ERROR(quantize(graph, ranges_of(graph, {1, 2})), "must be finite and include 0, given 1 to 2");
  CHECK_ERROR(quantize(graph, ranges_of(graph, {0, std::nanf("")})), "must be finite and include 0");
  const Graph integer = quantize(graph, ranges_of(graph, {-1, 1}));
  CHECK_ERROR(quantize(integer, ranges_of(integer, {-1, 1})), "quantize: a float graph is expected");
}
