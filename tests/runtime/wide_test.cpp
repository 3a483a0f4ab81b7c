// Kernels of 16-bit activations, layers that quantize as they run, constants stored as halves.
#include "../../runtime/kernels/wide_fixed_point.h"
#include "../../runtime/prepare.h"
#include "graphs.h"
#include "support/errors.h"

#include <lathe/base/half.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::rescale_wide;
using lathe::runtime::to_code16;

namespace {

using Floats = std::vector<float>;
using Wides = std::vector<std::int16_t>;

template <typename T>
ValueId constant(Graph& graph, std::string name, Shape shape, std::vector<T> elements,
                 std::optional<Quantization> quantization = {}) {
  return graph.add_constant({.name = std::move(name),
                             .shape = shape,
                             .dtype = lathe::DtypeOf<T>::value,
                             .quantization = std::move(quantization),
                             .data = ConstantData::copy(std::as_bytes(std::span(elements)))});
}

Quantization scale(float s) { return {{s}, 0}; }

/// A graph around one op of i16: f32 in (quantized) and f32 out.
struct Wide {
  Graph graph;
  ValueId input(Shape shape, float s) {
    const ValueId x = graph.add_input("x", shape);
    return graph.add_node(Quantize{}, {x}, "", Dtype::i16, scale(s));
  }
  ValueId node(Op op, std::vector<ValueId> inputs, float s) {
    return graph.add_node(std::move(op), std::move(inputs), "node", Dtype::i16, scale(s));
  }
  Plan plan(ValueId y, std::int64_t batch = 1) {
    graph.set_outputs({graph.add_node(Dequantize{}, {y})});
    return Plan(graph, {.batch = batch, .level = {}});
  }
};

Floats run(Plan& plan, std::vector<Floats> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    REQUIRE(inputs[i].size() == plan.input<float>(i).size());
    std::ranges::copy(inputs[i], plan.input<float>(i).begin());
  }
  plan.run();
  return {plan.output<float>().begin(), plan.output<float>().end()};
}

/// One op with one input; scales 1 and `out`.
Floats apply(Op op, Shape shape, Floats x, float in = 1, float out = 1) {
  Wide wide;
  const ValueId id = wide.input(shape, in);
  Plan plan = wide.plan(wide.node(std::move(op), {id}, out));
  return run(plan, {std::move(x)});
}

}  // namespace

TEST_CASE("wide rescaling is the exact product, rounded once") {
  Rng rng(3);
  for (int i = 0; i < 100000; ++i) {
    const auto x = static_cast<std::int64_t>(rng.next()) >> rng.below(62);
    if (std::abs(x) > std::int64_t{1} << 61) continue;
    const auto multiplier = static_cast<std::int32_t>((1u << 30) + rng.below(1u << 30));
    const int exponent = static_cast<int>(rng.below(62)) - 60;
    // By long division: |x| * multiplier = quotient * 2^shift + rest, in two 32-bit halves.
    const int shift = 31 - exponent;
    __extension__ using Exact = unsigned __int128;
    const Exact product = static_cast<Exact>(std::abs(x)) * static_cast<std::uint32_t>(multiplier);
    Exact quotient = product >> shift;
    const Exact rest = product - (quotient << shift);
    if (2 * rest >= (Exact{1} << shift)) ++quotient;
    const auto expected = static_cast<std::int64_t>(quotient);
    CHECK(rescale_wide(x, multiplier, exponent) == (x < 0 ? -expected : expected));
  }
  CHECK(rescale_wide(3, 1 << 30, 0) == 2);  // 1.5
  CHECK(rescale_wide(-3, 1 << 30, 0) == -2);
  CHECK(rescale_wide(5, 1 << 30, -1) == 1);                                          // 1.25
  CHECK(rescale_wide(std::int64_t{1} << 61, 1 << 30, 31) == std::int64_t{1} << 62);  // saturated
  CHECK(rescale_wide(-(std::int64_t{1} << 61), 1 << 30, 31) == -(std::int64_t{1} << 62));
}

TEST_CASE("codes of 16 bits are rounded away from zero and saturate") {
  CHECK(to_code16(0.5) == 1);
  CHECK(to_code16(-0.5) == -1);
  CHECK(to_code16(0.49) == 0);
  CHECK(to_code16(40000) == 32767);
  CHECK(to_code16(-1e300) == -32768);
  CHECK(to_code16(std::numeric_limits<double>::infinity()) == 32767);
  CHECK(to_code16(std::nan("")) == -32768);
}

TEST_CASE("16-bit convolution is the sum of products, rescaled, at the ends of its range too") {
  Wide wide;
  const ValueId x = wide.input({1, 2, 2, 2}, 0.5f);
  // Depthwise, then over channels: one weight scale for each channel.
  const ValueId weight =
      constant<std::int8_t>(wide.graph, "w", {2, 1, 2, 1}, {1, 2, -127, 127}, Quantization{{0.5f, 0.25f}, 0});
  const ValueId bias =
      constant<std::int64_t>(wide.graph, "b", {2}, {1 << 20, -8}, Quantization{{0.25f, 0.125f}, 0});
  const ValueId y = wide.node(Conv2d{.padding = Padding::same(), .groups = 2}, {x, weight, bias}, 16);
  Plan plan = wide.plan(y);
  // Codes are twice the input; channel 0: (x + 2 right) * 0.5 + 2^18, channel 1: 0.25 * 127 (right - x) - 1.
  const Floats given = run(plan, {{1, 16383.5f, 2, -16384, 3, 0, 4, 8}});
  const auto code = [](double real) { return static_cast<float>(16 * std::round(real / 16)); };
  CHECK(given == Floats{code((1 + 4) * 0.5 + 262144),
                        std::max(code(0.25 * 127 * (-16384 - 16383.5) - 1), -16 * 32768.f), code(1 + 262144),
                        code(0.25 * 127 * 16384 - 1), code((3 + 8) * 0.5 + 262144), code(0.25 * 127 * 8 - 1),
                        code(2 + 262144), code(-0.25 * 127 * 8 - 1)});
}

TEST_CASE("a 16-bit linear layer of many inputs does not overflow") {
  constexpr std::int64_t kInputs = 100'000;
  Wide wide;
  const ValueId x = wide.input({1, kInputs}, 1);
  const ValueId weight =
      constant<std::int8_t>(wide.graph, "w", {1, kInputs}, std::vector<std::int8_t>(kInputs, 127), scale(1));
  Plan plan = wide.plan(wide.node(Linear{}, {x, weight}, 0x1p24f));
  const double sum = 32768. * 127 * kInputs;
  CHECK(run(plan, {Floats(kInputs, -32768)})[0] == -std::round(sum / 0x1p24) * 0x1p24);
}

TEST_CASE("fused clamps of 16 bits") {
  Wide wide;
  const ValueId x = wide.input({1, 4}, 0.001f);
  const ValueId weight = constant<std::int8_t>(wide.graph, "w", {4, 4},
                                               {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, scale(1));
  const ValueId y = wide.node(Linear{Activation::relu6}, {x, weight}, 0.001f);
  Plan plan = wide.plan(wide.node(Add{Activation::relu}, {y, x}, 0.002f));
  const Floats given = run(plan, {{-3, 2, 5.5f, 7}});
  for (const auto& [index, wanted] : {std::pair{0, 0.f}, {1, 4.f}, {2, 11.f}, {3, 13.f}})
    CHECK(given[static_cast<std::size_t>(index)] == doctest::Approx(wanted).epsilon(1e-3));
}

TEST_CASE("16-bit pools") {
  const Floats x = {-300, -2, -3, -4, -5, -6, -7, -8, -9};
  CHECK(apply(MaxPool2d{.padding = Padding::same()}, {1, 3, 3, 1}, x) == Floats{-2, -3, -7, -9});
  CHECK(apply(AvgPool2d{}, {1, 2, 2, 1}, {-3, -3, -2, -2}) == Floats{-3});  // -2.5 away from zero
  CHECK(apply(AvgPool2d{}, {1, 2, 2, 1}, {32767, 32767, 32767, 32766}) == Floats{32767});
  CHECK(apply(AvgPool2d{.padding = Padding::same()}, {1, 3, 3, 1}, x)[3] == -9);
  CHECK(apply(GlobalAvgPool{}, {1, 2, 2, 1}, {1, 2, 3, 6}, 1, 0.25f) == Floats{3});
  CHECK(apply(GlobalAvgPool{}, {1, 2, 2, 1}, {-32768, -32768, -32768, -32767}) == Floats{-32768});
}

TEST_CASE("16-bit activations, softmax and log-softmax are within half a step") {
  const Floats x = {-8, -1, 0, 0.5f, 3, 7};
  const auto check = [&](Op op, float out, auto&& function) {
    const Floats given = apply(op, {1, 6}, x, 0.5f, out);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double wanted = function(static_cast<double>(x[i]));
      CHECK(std::abs(static_cast<double>(given[i]) - std::min(wanted, 32767. * static_cast<double>(out))) <=
            0.5001 * static_cast<double>(out));
    }
  };
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  check(Activate{Activation::relu}, 0.01f, [](double v) { return std::max(v, 0.); });
  check(Activate{Activation::relu6}, 0.01f, [](double v) { return std::clamp(v, 0., 6.); });
  check(Activate{Activation::sigmoid}, 1.f / 32768, sigmoid);
  check(Activate{Activation::silu}, 0.01f, [&](double v) { return v * sigmoid(v); });
  check(Activate{Activation::none}, 0.25f, [](double v) { return v; });
  double sum = 0;
  for (float v : x) sum += std::exp(static_cast<double>(v));
  check(Softmax{}, 1.f / 32768, [&](double v) { return std::exp(v) / sum; });
  check(LogSoftmax{}, 16.f / 32768, [&](double v) { return std::max(v - std::log(sum), -16.); });
}

TEST_CASE("16-bit sums and products, of one shape and by channel") {
  Wide wide;
  const ValueId a = wide.input({1, 1, 2, 2}, 0.5f), b = wide.input({1, 2}, 0.25f),
                c = wide.input({1, 1, 2, 2}, 2);
  const ValueId product = wide.node(Multiply{}, {a, b}, 0.125f);
  const ValueId square = wide.node(Multiply{}, {product, c}, 64);
  Plan plan = wide.plan(wide.node(Add{}, {square, a}, 1), 2);
  const Floats given = run(plan, {{1, -2, 3, 4, 5, 6, -7, 8}, {2, 3, 4, 5}, {2, 4, 32, 64, 2, 4, 32, 64}});
  Floats wanted;
  for (const auto& [x, factor, y] : std::vector<std::array<float, 3>>{
           {1, 2, 2}, {-2, 3, 4}, {3, 2, 32}, {4, 3, 64}, {5, 4, 2}, {6, 5, 4}, {-7, 4, 32}, {8, 5, 64}})
    wanted.push_back(64 * std::round(x * factor * y / 64) + x);
  CHECK(given == wanted);
  CHECK(apply(Activate{Activation::none}, {1, 2}, {32767, -32768}, 1, 0.5f) == Floats{16383.5f, -16384});
}

TEST_CASE("16-bit concat and pad move elements") {
  Wide wide;
  const ValueId a = wide.input({1, 1, 2, 1}, 1), b = wide.input({1, 1, 2, 2}, 1);
  const ValueId joined = wide.node(Concat{}, {a, b}, 1);
  Plan plan = wide.plan(wide.node(Pad{.right = 1}, {joined}, 1));
  CHECK(run(plan, {{1000, 2}, {3, 4, -5000, 6}}) == Floats{1000, 3, 4, 2, -5000, 6, 0, 0, 0});
}

TEST_CASE("codes leave as bytes") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 3});
  const ValueId q = graph.add_node(Quantize{}, {x}, "", Dtype::i8, Quantization{{0.5f}, 10});
  graph.set_outputs({graph.add_node(Dequantize{}, {q}, "", Dtype::u8, Quantization{{0.5f}, 138})});
  Plan plan(graph);
  std::ranges::copy(Floats{0, 1, -1000}, plan.input<float>().begin());
  plan.run();
  CHECK(plan.output_dtype() == Dtype::u8);
  CHECK(std::ranges::equal(plan.output<std::uint8_t>(), std::vector<int>{138, 140, 0}));
}

namespace {

/// Linear [2,3] or convolution with i8 weights on floats.
Graph dynamic_linear(bool bias, Activation activation = Activation::none) {
  Graph graph;
  std::vector<ValueId> inputs{
      graph.add_input("x", {1, 3}),
      constant<std::int8_t>(graph, "w", {2, 3}, {127, -127, 3, 0, 1, 2}, Quantization{{0.5f, 0.125f}, 0})};
  if (bias) inputs.push_back(constant<float>(graph, "b", {2}, {0.25f, -100}));
  graph.set_outputs({graph.add_node(Linear{activation}, inputs, "head")});
  return graph;
}

/// By the definition, with sums in 64 bits.
Floats expected_dynamic(const Floats& x, bool bias) {
  const float low = std::min(0.f, *std::ranges::min_element(x)),
              high = std::max(0.f, *std::ranges::max_element(x));
  const auto s = static_cast<float>((static_cast<double>(high) - static_cast<double>(low)) / 255);
  const auto zero =
      static_cast<std::int64_t>(std::round(-128 - static_cast<double>(low) / static_cast<double>(s)));
  const std::int64_t weight[2][3] = {{127, -127, 3}, {0, 1, 2}};
  const float scales[2] = {0.5f, 0.125f}, biases[2] = {0.25f, -100};
  Floats y;
  for (int o = 0; o < 2; ++o) {
    std::int64_t sum = 0, weights = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto code = std::clamp<std::int64_t>(std::llround(x[i] * (1.f / s)) + zero, -128, 127);
      sum += code * weight[o][i];
      weights += weight[o][i];
    }
    const float product = s * scales[o] * static_cast<float>(sum - zero * weights);
    y.push_back(bias ? product + biases[o] : product);
  }
  return y;
}

}  // namespace

TEST_CASE("a layer that quantizes its input does what its definition says, each image by itself") {
  for (const bool bias : {false, true}) {
    const Graph graph = dynamic_linear(bias);
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      Plan plan(graph, {.batch = 3, .level = {}});
      Floats x(9), wanted;
      Rng rng(seed);
      rng.fill_uniform(x, -2, 5);
      for (std::size_t i = 3; i < 6; ++i) x[i] *= 1000;
      for (std::ptrdiff_t n = 0; n < 3; ++n)
        for (float y : expected_dynamic({x.begin() + 3 * n, x.begin() + 3 * n + 3}, bias))
          wanted.push_back(y);
      CHECK(run(plan, {x}) == wanted);
    }
  }
}

TEST_CASE("images of zeros, of one sign, infinite ones and NaN do no harm to layers that quantize") {
  const Graph graph = dynamic_linear(true, Activation::relu);
  Plan plan(graph);
  CHECK(run(plan, {{0, 0, 0}}) == Floats{0.25f, 0});
  CHECK(run(plan, {{1, 1, 1}})[0] == doctest::Approx(1.5 + 0.25));
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kMax = std::numeric_limits<float>::max();
  for (const Floats& x : {Floats{kInfinity, 0, 0}, Floats{-kInfinity, kInfinity, 1},
                          Floats{std::nanf(""), 1, 1}, Floats{kMax, -kMax, 0}, Floats{1e-45f, 0, -1e-45f}})
    run(plan, {x});  // the address and undefined-behaviour sanitizers watch
}

TEST_CASE("padding counts as zero in a convolution that quantizes its input") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 1, 1, 1});
  const ValueId w = constant<std::int8_t>(
      graph, "w", {1, 3, 3, 1}, {100, 100, 100, 100, 2, 100, 100, 100, 100}, Quantization{{0.5f}, 0});
  graph.set_outputs(
      {graph.add_node(Conv2d{.padding = Padding::same(), .activation = Activation::silu}, {x, w})});
  Plan plan(graph);
  CHECK(run(plan, {{3}})[0] == doctest::Approx(3 / (1 + std::exp(-3.))));
}

TEST_CASE("constants stored as halves give what their floats give, at every level") {
  Graph halves = conv(lathe::Dtype::f32);
  Graph floats = halves;
  for (std::size_t i = 0; i < halves.values().size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    if (!halves.value(id).is_constant()) continue;
    std::vector<std::uint16_t> stored;
    Floats rounded;
    for (float w : halves.value(id).elements<float>()) {
      stored.push_back(lathe::float_to_half(w));
      rounded.push_back(lathe::half_to_float(stored.back()));
    }
    halves.value(id).dtype = Dtype::f16;
    halves.value(id).data = ConstantData::copy(std::as_bytes(std::span(stored)));
    floats.value(id).data = ConstantData::copy(std::as_bytes(std::span(rounded)));
  }
  std::vector<Level> levels = fast_levels();
  levels.push_back(Level::reference);
  for (const Level level : levels)
    CHECK(graphs::run(halves, {.batch = 2, .level = level}) ==
          graphs::run(floats, {.batch = 2, .level = level}));
}
