#include "graphs.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;

namespace {

Plan reference_plan(const Graph& graph, std::int64_t batch = 1) {
  return Plan(graph, {.batch = batch, .level = Level::reference});
}

template <typename T>
void set(Plan& plan, std::vector<T> values, std::size_t input = 0) {
  const auto to = plan.input<T>(input);
  REQUIRE(to.size() == values.size());
  std::copy(values.begin(), values.end(), to.begin());
}

template <typename T>
std::vector<T> output(const Plan& plan) {
  const auto out = plan.output<T>();
  return {out.begin(), out.end()};
}

/// Runs one f32 op on one input.
std::vector<float> apply(Op op, Shape shape, std::vector<float> values) {
  Maker maker(1);
  const ValueId x = maker.input(shape);
  Plan plan = reference_plan(maker.finish(maker.node(std::move(op), {x})));
  set(plan, std::move(values));
  plan.run();
  return output<float>(plan);
}

std::vector<std::int8_t> apply_i8(Op op, Shape shape, std::vector<std::int8_t> values, Quantization in,
                                  Quantization out) {
  Maker maker(1);
  const ValueId x = maker.input(shape, Dtype::i8, in);
  Plan plan = reference_plan(maker.finish(maker.node(std::move(op), {x}, "node", out)));
  set(plan, std::move(values));
  plan.run();
  return output<std::int8_t>(plan);
}

using Floats = std::vector<float>;
using Codes = std::vector<std::int8_t>;

void check_close(const Floats& given, const Floats& expected) {
  REQUIRE(given.size() == expected.size());
  for (std::size_t i = 0; i < given.size(); ++i)
    CHECK(given[i] == doctest::Approx(expected[i]).epsilon(1e-6));
}

}  // namespace

TEST_CASE("convolution: taps, bias, padding and relu by hand") {
  Maker maker(1);
  const ValueId x = maker.input({1, 2, 2, 1});
  const Floats w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, b = {-20};
  const ValueId weight = maker.graph().add_constant("w", {1, 3, 3, 1}, w);
  const ValueId bias = maker.graph().add_constant("b", {1}, b);
  Plan plan = reference_plan(maker.finish(
      maker.node(Conv2d{.padding = Padding::same(), .activation = Activation::relu}, {x, weight, bias})));
  set<float>(plan, {1, 10, 100, 1000});
  plan.run();
  // Windows around the four pixels: 5*1+6*10+8*100+9*1000, 4+50+700+8000, 2+30+500+6000, 1+20+400+5000.
  CHECK(output<float>(plan) == Floats{9845, 8734, 6512, 5401});
}

TEST_CASE("convolution: same padding puts the smaller half first, stride 2 starts there") {
  Maker maker(1);
  const ValueId x = maker.input({1, 4, 4, 1});
  const ValueId weight = maker.graph().add_constant("w", {1, 3, 3, 1}, Floats{1, 0, 0, 0, 0, 0, 0, 0, 0});
  Plan plan = reference_plan(maker.finish(
      maker.node(Conv2d{.stride_h = 2, .stride_w = 2, .padding = Padding::same()}, {x, weight})));
  set<float>(plan, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
  plan.run();
  CHECK(output<float>(plan) ==
        Floats{0, 2, 8, 10});  // all of the padding (one row, one column) is at the end
}

TEST_CASE("convolution: groups read their own channels") {
  Maker maker(1);
  const ValueId x = maker.input({1, 1, 1, 4});
  const ValueId weight = maker.graph().add_constant("w", {2, 1, 1, 2}, Floats{1, 10, 100, 1000});
  Plan plan = reference_plan(maker.finish(maker.node(Conv2d{.groups = 2}, {x, weight})));
  set<float>(plan, {1, 2, 3, 4});
  plan.run();
  CHECK(output<float>(plan) == Floats{21, 4300});
}

TEST_CASE("integer convolution follows the real one within a code") {
  for (const int groups : {1, 2, 4}) {
    CAPTURE(groups);
    Maker maker(static_cast<std::uint64_t>(groups));
    const Quantization in = codes(0.02f, -13);
    const ValueId x = maker.input({1, 6, 5, 4}, Dtype::i8, in);
    const ValueId y = maker.weighted(Conv2d{.stride_w = 2, .padding = Padding::same(), .groups = groups}, x,
                                     {8, 3, 3, 4 / groups});
    const Graph graph = maker.finish(y);
    // The same network in real numbers.
    Maker real(1);
    const auto dequantized = [&](ValueId id) {
      const Value& value = graph.value(id);
      Floats elements(static_cast<std::size_t>(value.shape.size()));
      const std::size_t per_scale = elements.size() / value.quantization->scale.size();
      for (std::size_t i = 0; i < elements.size(); ++i) {
        const float code = value.dtype == Dtype::i8 ? static_cast<float>(value.elements<std::int8_t>()[i])
                                                    : static_cast<float>(value.elements<std::int32_t>()[i]);
        elements[i] = code * value.quantization->scale[i / per_scale];
      }
      return real.graph().add_constant(value.name, value.shape, elements);
    };
    const ValueId real_x = real.input({1, 6, 5, 4});
    const Node& node = graph.nodes()[0];
    const Graph real_graph =
        real.finish(real.node(node.op, {real_x, dequantized(node.inputs[1]), dequantized(node.inputs[2])}));

    Plan integer_plan = reference_plan(graph), real_plan = reference_plan(real_graph);
    const auto bytes = random_bytes(Dtype::i8, 6 * 5 * 4, 3);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto code = static_cast<std::int8_t>(bytes[i]);
      integer_plan.input<std::int8_t>()[i] = code;
      real_plan.input<float>()[i] = in.scale[0] * static_cast<float>(code - in.zero_point);
    }
    integer_plan.run();
    real_plan.run();
    const Quantization& out = *graph.value(y).quantization;
    int inside = 0;
    for (std::size_t i = 0; i < real_plan.output<float>().size(); ++i) {
      const float code = real_plan.output<float>()[i] / out.scale[0] + static_cast<float>(out.zero_point);
      const float clamped = std::min(std::max(code, -128.f), 127.f);
      CHECK(std::abs(clamped - static_cast<float>(integer_plan.output<std::int8_t>()[i])) <= 0.51f);
      inside += code == clamped ? 1 : 0;
    }
    CHECK(inside > 100);  // the test would say little if most outputs were clamped
  }
}

TEST_CASE("pools: padding neither wins a maximum nor counts in a mean") {
  const Floats x = {-1, -2, -3, -4, -5, -6, -7, -8, -9};
  CHECK(apply(MaxPool2d{.padding = Padding::same()}, {1, 3, 3, 1}, x) == Floats{-1, -3, -7, -9});
  check_close(apply(AvgPool2d{.padding = Padding::same()}, {1, 3, 3, 1}, x), {-3, -4.5f, -7.5f, -9});
  CHECK(apply(MaxPool2d{}, {1, 3, 3, 1}, x) == Floats{-1});
  check_close(apply(GlobalAvgPool{}, {1, 3, 3, 1}, x), {-5});
  const Quantization q = codes(0.1f, 5);
  CHECK(apply_i8(MaxPool2d{}, {1, 2, 2, 1}, {-7, -3, -128, -4}, q, q) == Codes{-3});
  CHECK(apply_i8(AvgPool2d{}, {1, 2, 2, 1}, {-3, -3, -2, -2}, q, q) == Codes{-3});  // -2.5 away from zero
  CHECK(apply_i8(AvgPool2d{}, {1, 2, 2, 1}, {3, 3, 2, 2}, q, q) == Codes{3});
}

TEST_CASE("integer global mean goes to its own parameters") {
  // Reals 0.5 * (q - 2): 1, 2, 3, 6; mean 3; as code 3 / 0.25 - 100.
  CHECK(apply_i8(GlobalAvgPool{}, {1, 2, 2, 1}, {4, 6, 8, 14}, {{0.5f}, 2}, {{0.25f}, -100}) == Codes{-88});
}

TEST_CASE("activations") {
  const Floats x = {-1, 0, 3, 7};
  CHECK(apply(Activate{Activation::relu}, {1, 4}, x) == Floats{0, 0, 3, 7});
  CHECK(apply(Activate{Activation::relu6}, {1, 4}, x) == Floats{0, 0, 3, 6});
  check_close(apply(Activate{Activation::sigmoid}, {1, 4}, x), {0.26894142f, 0.5f, 0.95257413f, 0.99908895f});
  check_close(apply(Activate{Activation::silu}, {1, 4}, x), {-0.26894142f, 0, 2.8577224f, 6.9936227f});
  const Codes codes_in = {-128, -28, 72, 127};
  CHECK(apply_i8(Activate{Activation::relu}, {1, 4}, codes_in, {{0.1f}, -28}, {{0.05f}, -128}) ==
        Codes{-128, -128, 72, 127});
  // sigmoid of -10, 0, 10, 15.5 in steps of 1/256
  CHECK(apply_i8(Activate{Activation::sigmoid}, {1, 4}, codes_in, {{0.1f}, -28}, {{1.f / 256}, -128}) ==
        Codes{-128, 0, 127, 127});
}

TEST_CASE("softmax adds up to one and ignores an offset") {
  check_close(apply(Softmax{}, {1, 3}, {1000, 1000, 1000}), {1.f / 3, 1.f / 3, 1.f / 3});
  check_close(apply(LogSoftmax{}, {1, 2}, {0, std::log(3.f)}), {std::log(0.25f), std::log(0.75f)});
  // Reals 0 and ln 3 to within the step of 0.01: 64 and 192 of 256.
  CHECK(apply_i8(Softmax{}, {1, 2}, {0, 110}, {{0.01f}, 0}, {{1.f / 256}, -128}) == Codes{-64, 64});
  CHECK(apply_i8(LogSoftmax{}, {1, 2}, {0, 110}, {{0.01f}, 0}, {{16.f / 256}, 127}) == Codes{105, 122});
}

TEST_CASE("sums and products") {
  Maker maker(1);
  const ValueId a = maker.input({1, 1, 1, 2}), b = maker.input({1, 1, 1, 2});
  const ValueId sum = maker.node(Add{Activation::relu}, {a, b});
  Plan plan = reference_plan(maker.finish(maker.node(Multiply{}, {sum, b})));
  set<float>(plan, {1, -5}, 0);
  set<float>(plan, {2, 3}, 1);
  plan.run();
  CHECK(output<float>(plan) == Floats{6, 0});
}

TEST_CASE("integer sums and products have the parameters of their output") {
  Maker maker(1);
  const ValueId a = maker.input({1, 1, 1, 3}, Dtype::i8, Quantization{{0.5f}, 1});
  const ValueId b = maker.input({1, 1, 1, 3}, Dtype::i8, Quantization{{0.25f}, -2});
  const ValueId sum = maker.node(Add{}, {a, b}, "add", Quantization{{1.f}, 10});
  Graph graph = maker.finish(sum);
  const ValueId product =
      graph.add_node(Multiply{}, {a, b}, "multiply", Dtype::i8, Quantization{{0.125f}, -3});
  graph.set_outputs({sum, product});
  Plan plan = reference_plan(graph);
  set<std::int8_t>(plan, {3, -7, 127}, 0);  // reals 1, -4, 63
  set<std::int8_t>(plan, {6, 2, 126}, 1);   // reals 2, 1, 32
  plan.run();
  CHECK(output<std::int8_t>(plan) == Codes{13, 7, 105});
  const auto products = plan.output<std::int8_t>(1);
  CHECK(Codes(products.begin(), products.end()) == Codes{13, -35, 127});
}

TEST_CASE("a product with one factor a channel") {
  Maker maker(1);
  const ValueId a = maker.input({1, 2, 1, 2}), b = maker.input({1, 2});
  Plan plan = reference_plan(maker.finish(maker.node(Multiply{}, {a, b})), 2);
  set<float>(plan, {1, 2, 3, 4, 5, 6, 7, 8}, 0);
  set<float>(plan, {1, 10, 100, 1000}, 1);
  plan.run();
  CHECK(output<float>(plan) == Floats{1, 20, 3, 40, 500, 6000, 700, 8000});
}

TEST_CASE("batch norm with moving statistics") {
  Maker maker(1);
  const ValueId x = maker.input({1, 1, 1, 2});
  const auto constant = [&](const char* name, Floats values) {
    return maker.graph().add_constant(name, {2}, values);
  };
  const ValueId gamma = constant("gamma", {2, 1}), beta = constant("beta", {1, 0});
  const ValueId mean = constant("mean", {3, 0}), variance = constant("variance", {3.75f, 0.75f});
  Plan plan =
      reference_plan(maker.finish(maker.node(BatchNorm{.epsilon = 0.25f}, {x, gamma, beta, mean, variance})));
  set<float>(plan, {5, 4});
  plan.run();
  check_close(output<float>(plan), {3, 4});
}

TEST_CASE("quantize and dequantize; bytes shift by 128") {
  Maker maker(1);
  const ValueId x = maker.input({1, 4});
  const ValueId q = maker.node(Quantize{}, {x}, "q", Quantization{{0.5f}, 10});
  Plan plan = reference_plan(maker.finish(maker.node(Dequantize{}, {q})));
  set<float>(plan, {0.24f, 0.25f, -0.25f, 1000});
  plan.run();
  CHECK(output<float>(plan) == Floats{0, 0.5f, -0.5f, 58.5f});

  Maker bytes(1);
  const ValueId u = bytes.input({1, 3}, Dtype::u8, Quantization{{1.f / 255}, 0});
  Plan shift =
      reference_plan(bytes.finish(bytes.node(Quantize{}, {u}, "q", Quantization{{1.f / 255}, -128})));
  set<std::uint8_t>(shift, {0, 128, 255});
  shift.run();
  CHECK(output<std::int8_t>(shift) == Codes{-128, 0, 127});
}

TEST_CASE("concat and pad move elements; integer padding is the zero point") {
  Maker maker(1);
  const ValueId a = maker.input({1, 1, 2, 1}), b = maker.input({1, 1, 2, 2});
  Plan plan = reference_plan(maker.finish(maker.node(Concat{}, {a, b})));
  set<float>(plan, {1, 2}, 0);
  set<float>(plan, {3, 4, 5, 6}, 1);
  plan.run();
  CHECK(output<float>(plan) == Floats{1, 3, 4, 2, 5, 6});
  CHECK(apply(Pad{.top = 1, .right = 2}, {1, 1, 1, 1}, {7}) == Floats{0, 0, 0, 7, 0, 0});
  const Quantization q = codes(0.5f, -9);
  CHECK(apply_i8(Pad{.bottom = 1, .left = 1}, {1, 1, 1, 1}, {7}, q, q) == Codes{-9, 7, -9, -9});
}
