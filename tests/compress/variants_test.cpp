// Every kind of quantization after training, on random graphs and at its limits.
#include "random_graph.h"
#include "support/errors.h"
#include "variant_error.h"

#include <lathe/base/half.h>
#include <lathe/compress/passes.h>
#include <lathe/compress/quantize.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::graph;
using compress::Border;
using compress::calibrate;
using compress::Estimator;
using compress::FloatNode;
using compress::quantize;
using compress::quantize_dynamic;
using compress::Ranges;
using compress::Scheme;
using compress::to_half;

namespace {

constexpr std::int64_t kBatch = 8;

ValueId constant(Graph& graph, std::string name, const Shape& shape, std::vector<float> elements) {
  return graph.add_constant(std::move(name), shape, elements);
}

/// The largest error over random graphs.
template <typename Make>
double worst_error(Make&& make) {
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Graph real = compress::optimize(random_graph(seed));
    const Tensor x = random_input(real, kBatch, seed);
    const Graph variant = make(real, x);
    const double error = variant_error(variant, real, x);
    INFO("seed ", seed, "\n", to_string(variant));
    CHECK(error < 0.1);
    worst = std::max(worst, error);
  }
  MESSAGE("largest relative error " << worst);
  return worst;
}

int count(const Graph& graph, Dtype dtype, bool constants) {
  return static_cast<int>(std::ranges::count_if(graph.values(), [&](const Value& value) {
    return value.dtype == dtype && value.is_constant() == constants;
  }));
}

/// x [1,2,2,1] -> linear [2,4] after flattening
Graph small(std::vector<float> weight, std::vector<float> bias) {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2, 2, 1});
  const ValueId flat = graph.add_node(Reshape{{4}}, {x}, "flat");
  const ValueId w = constant(graph, "head.weight", {2, 4}, std::move(weight));
  graph.set_outputs(
      {graph.add_node(Linear{}, {flat, w, constant(graph, "head.bias", {2}, std::move(bias))}, "head")});
  return graph;
}

}  // namespace

TEST_CASE("random graphs in half precision are close to the float ones") {
  CHECK(worst_error([](const Graph& real, const Tensor&) {
          const Graph half = to_half(real);
          CHECK(count(half, Dtype::f32, true) == 0);
          return half;
        }) < 5e-3);
}

TEST_CASE("random graphs with dynamic range quantization are close to the float ones") {
  worst_error([](const Graph& real, const Tensor&) {
    std::vector<FloatNode> left;
    const Graph dynamic = quantize_dynamic(real, {.min_elements = 1}, &left);
    CHECK(left.empty());
    CHECK(count(dynamic, Dtype::i8, true) > 0);
    return dynamic;
  });
}

TEST_CASE("random graphs with 16-bit activations are closer to the float ones than with 8") {
  // What is left is the error of the weights; without it, scales of the inputs' ranges would show.
  worst_error([](const Graph& real, const Tensor& x) {
    std::vector<FloatNode> left;
    const Graph wide = quantize(real, calibrate(real, std::span(&x, 1)), {.scheme = Scheme::int16x8}, &left);
    CHECK(left.empty());
    CHECK(count(wide, Dtype::i8, false) == 0);
    return wide;
  });
}

TEST_CASE("with weights that int8 holds exactly, 16-bit activations are nearly exact") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 6, 6, 2});
  std::vector<float> conv, head;
  for (int i = 0; i < 2 * 9 * 4; ++i) conv.push_back(static_cast<float>(i * 37 % 255 - 127) / 512);
  for (int i = 0; i < 4; ++i) conv[static_cast<std::size_t>(18 * i)] = 127.f / 512;
  for (int i = 0; i < 12; ++i)
    head.push_back(i % 4 == 0 ? 127.f / 128 : static_cast<float>(i * 11 % 100) / 128);
  const ValueId y = graph.add_node(Conv2d{.padding = Padding::same(), .activation = Activation::relu},
                                   {x, constant(graph, "conv.weight", {4, 3, 3, 2}, conv)}, "conv");
  const ValueId mean = graph.add_node(GlobalAvgPool{}, {y}, "mean");
  graph.set_outputs({graph.add_node(Linear{}, {mean, constant(graph, "head.weight", {3, 4}, head)}, "head")});
  const Tensor images = random_input(graph, kBatch, 1);
  const Ranges ranges = calibrate(graph, std::span(&images, 1));
  CHECK(variant_error(quantize(graph, ranges, {.scheme = Scheme::int16x8}), graph, images) < 2e-4);
  CHECK(variant_error(quantize(graph, ranges), graph, images) > 1e-3);
}

TEST_CASE("16-bit graphs fall back where there is no range, like 8-bit ones") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const Graph real = compress::optimize(random_graph(seed));
    const Tensor x = random_input(real, kBatch, seed);
    Ranges ranges = calibrate(real, std::span(&x, 1));
    Rng rng(seed);
    for (auto& range : ranges)
      if (rng.below(3) == 0) range.reset();
    const Graph mixed = quantize(real, ranges, {.scheme = Scheme::int16x8});
    INFO("seed ", seed, "\n", to_string(mixed));
    CHECK(variant_error(mixed, real, x) < 0.1);
  }
}

TEST_CASE("a bias of 16-bit layers is 64 bits wide") {
  const Graph graph = small({1e-6f, 0, 0, 0, 1, 1, 1, 1}, {1000, -1e-3f});
  Ranges ranges(graph.values().size());
  for (auto& range : ranges) range = compress::Range{-2, 2};
  ranges.back() = compress::Range{-1, 1000};
  const Graph wide = quantize(graph, ranges, {.scheme = Scheme::int16x8});
  for (const Value& value : wide.values())
    if (value.dtype == Dtype::i64) {
      const double given = static_cast<double>(value.quantization->scale[0]) *
                           static_cast<double>(value.elements<std::int64_t>()[0]);
      CHECK(given == doctest::Approx(1000).epsilon(1e-6));
    }
  CHECK(count(wide, Dtype::i64, true) == 1);
}

TEST_CASE("u8 at both borders gives the codes that the float output has") {
  const Graph graph = small({1, -2, 3, -4, 0.5f, 0.25f, -1, 1}, {0.1f, -0.2f});
  Ranges ranges(graph.values().size());
  ranges[0] = compress::Range{0, 1};
  ranges.back() = compress::Range{-6, 4};
  for (Scheme scheme : {Scheme::int8, Scheme::int16x8}) {
    const Graph bytes =
        quantize(graph, ranges, {.scheme = scheme, .input = Border::u8, .output = Border::u8});
    const Graph reals = quantize(graph, ranges, {.scheme = scheme, .input = Border::u8});
    runtime::Plan plan(bytes, {.batch = 3, .level = {}}), real(reals, {.batch = 3, .level = {}});
    REQUIRE(plan.output_dtype() == Dtype::u8);
    for (std::size_t i = 0; i < 12; ++i)
      plan.input<std::uint8_t>()[i] = real.input<std::uint8_t>()[i] = static_cast<std::uint8_t>(i * 97);
    plan.run();
    real.run();
    const Quantization out = *bytes.value(bytes.outputs()[0]).quantization;
    CHECK(out.zero_point == activation_parameters({-6, 4}, 8).zero_point + 128);
    for (std::size_t i = 0; i < 6; ++i) {
      const float value = out.scale[0] * static_cast<float>(plan.output<std::uint8_t>()[i] - out.zero_point);
      CHECK(std::abs(value - real.output<float>()[i]) <=
            (scheme == Scheme::int8 ? 1e-5f : 0.501f * out.scale[0]));
    }
  }
  CHECK_ERROR(quantize(graph, Ranges(graph.values().size()), {.output = Border::u8}), "has no range");
}

TEST_CASE("a constant that halves cannot hold stays float and is named") {
  std::vector<FloatNode> left;
  const Graph half = to_half(small({1, 2, 3, 4, 5, 6, 7, 65520}, {1e-9f, 65504}), &left);
  REQUIRE(left.size() == 1);
  CHECK(left[0].node == 1);
  CHECK(left[0].reason == "constant head.weight has elements beyond 65504");
  CHECK(count(half, Dtype::f32, true) == 1);
  CHECK(count(half, Dtype::f16, true) == 1);
  CHECK_ERROR(to_half(half), "a float graph is expected");
  to_half(small({1, 2, 3, 4, 5, 6, 7, std::nanf("")}, {0, 0}), &left);
  CHECK(left.size() == 1);
}

TEST_CASE("small weights stay float in dynamic range quantization, shared ones are stored once") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 40});
  const ValueId w = constant(graph, "w", {40, 40}, std::vector<float>(1600, 0.5f));
  ValueId y = graph.add_node(Linear{}, {x, w}, "a");
  y = graph.add_node(Linear{}, {y, w}, "b");
  const ValueId bias = constant(graph, "bias", {2}, {1, 2});
  graph.set_outputs(
      {graph.add_node(Linear{}, {y, constant(graph, "v", {2, 40}, std::vector<float>(80, 0)), bias}, "c")});
  std::vector<FloatNode> left;
  const Graph dynamic = quantize_dynamic(graph, {}, &left);
  REQUIRE(left.size() == 1);
  CHECK(left[0].node == 2);
  CHECK(left[0].reason == "its weight has 80 elements, fewer than 1024");
  CHECK(count(dynamic, Dtype::i8, true) == 1);
  CHECK(count(quantize_dynamic(graph, {.min_elements = 0}), Dtype::i8, true) ==
        2);  // a channel of zeros, too
  CHECK_ERROR(quantize_dynamic(graph, {.min_elements = -1}), "must not be negative, given -1");
  CHECK_ERROR(quantize_dynamic(dynamic), "a float graph is expected");
}

TEST_CASE("a layer of too many products stays float in dynamic range quantization") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 70'000});
  graph.set_outputs({graph.add_node(
      Linear{}, {x, constant(graph, "w", {1, 70'000}, std::vector<float>(70'000, 1))}, "head")});
  std::vector<FloatNode> left;
  quantize_dynamic(graph, {}, &left);
  REQUIRE(left.size() == 1);
  CHECK(left[0].reason == "sums over 70000 products do not fit into 32 bits");
}

TEST_CASE("percentiles leave out the rarest elements at both ends and no more") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 10'000});
  graph.set_outputs({graph.add_node(Activate{}, {x}, "relu")});
  Tensor batch = Tensor::empty({1, 10'000});
  const auto elements = batch.mutable_span<float>();
  for (std::size_t i = 0; i < elements.size(); ++i)
    elements[i] = static_cast<float>(i) / 5000 - 1;  // -1 .. 1
  elements[17] = 1000, elements[4711] = 900, elements[42] = -500;
  const auto ranges = [&](double percentage) {
    return calibrate(graph, std::span(&batch, 1),
                     {.estimator = Estimator::percentile, .percentage = percentage});
  };
  const compress::Range all = *calibrate(graph, std::span(&batch, 1))[0];
  CHECK(*ranges(100)[0] == all);
  CHECK(*ranges(99.99)[0] == all);  // not one whole element may be left out
  CHECK(ranges(99.98)[0]->max == doctest::Approx(900).epsilon(0.001));
  CHECK(ranges(99.98)[0]->min == doctest::Approx(-1).epsilon(1));
  CHECK(ranges(99.9)[0]->max < 3);
  CHECK(ranges(99.9)[0]->max >= 1);
  CHECK(ranges(99.9)[1]->min == 0);  // of relu
  CHECK(ranges(99.9) == ranges(99.9));
  CHECK_ERROR(ranges(50), "the percentage must be above 50 and at most 100, given 50");
  CHECK_ERROR(ranges(std::nan("")), "the percentage must be above 50");
}

TEST_CASE("ranges of the least squared error cut outliers off, of scores and pixels none") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 40'000});
  const ValueId y = graph.add_node(Activate{}, {x}, "relu");
  graph.set_outputs({graph.add_node(Activate{Activation::relu6}, {y}, "relu6")});
  Tensor batch = Tensor::empty({1, 40'000});
  const auto elements = batch.mutable_span<float>();
  Rng(3).fill_uniform(elements, -1, 1);
  const auto ranges = [&] {
    return calibrate(graph, std::span(&batch, 1), {.estimator = Estimator::mean_squared_error});
  };
  // Even ones: nothing is worth cutting off.
  CHECK(ranges()[1]->max > 0.98f);
  CHECK(ranges()[1]->min == 0);
  // One far away: finer steps for 20,000 others are worth some of its 4, but not all.
  elements[17] = 4;
  const float cut = ranges()[1]->max;
  CHECK(cut > 3);
  CHECK(cut < 4);
  const auto error = [&](float high) {
    double sum = 0;
    for (float each : elements) {
      const double real = std::max(each, 0.f), step = static_cast<double>(high) / 255;
      const double near = std::min(std::round(real / step) * step, static_cast<double>(high));
      sum += (real - near) * (real - near);
    }
    return sum;
  };
  CHECK(error(cut) < error(4));
  CHECK(error(cut) < error(0.8f * cut));
  CHECK(ranges()[0]->max == 4);
  CHECK(ranges()[2]->max == 4);
  for (float& each : elements) each = 0;
  CHECK(*ranges()[1] == compress::Range{});
}

TEST_CASE("a percentile makes the steps of a value with outliers finer") {
  const Graph graph = small({1, 0, 0, 0, 0, 1, 0, 0}, {0, 0});
  std::vector<Tensor> batches;
  for (int i = 0; i < 200; ++i) {
    batches.push_back(random_input(graph, kBatch, static_cast<std::uint64_t>(i)));
    if (i == 50) batches.back().mutable_span<float>()[3] = 300;
  }
  const Ranges plain = calibrate(graph, batches);
  const Ranges fine = calibrate(graph, batches, {.estimator = Estimator::percentile, .percentage = 99.9});
  CHECK(variant_error(quantize(graph, fine), graph, batches[0]) <
        0.1 * variant_error(quantize(graph, plain), graph, batches[0]));
}
