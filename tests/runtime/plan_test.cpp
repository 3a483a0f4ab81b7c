#include "graphs.h"

#include "support/errors.h"

#include <lathe/base/io.h>

#include <algorithm>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::PlanOptions;
using lathe::runtime::StepInfo;

namespace {

const PlanOptions kReference{.level = Level::reference};

/// Input and output side by side, so that a plan's memory can be looked at.
Graph residual() {
  Maker maker(4);
  const ValueId x = maker.input({1, 6, 6, 4});
  const ValueId y = maker.weighted(Conv2d{.padding = Padding::same(), .activation = Activation::silu}, x,
                                   {4, 3, 3, 4}, "conv");
  const ValueId sum = maker.node(Add{}, {y, x}, "add");
  return maker.finish(maker.node(Concat{}, {sum, x}, "concat"));
}

}  // namespace

TEST_CASE("the text of a plan names kernels, shapes and places") {
  const auto golden = [](const char* name) {
    const auto bytes = lathe::read_file(std::string(LATHE_SOURCE) + "/tests/golden/" + name);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  CHECK(Plan(graphs::conv(lathe::Dtype::f32), kReference).text() == golden("plan_conv_f32.txt"));
  CHECK(Plan(graphs::dscnn(lathe::Dtype::i8), kReference).text() == golden("plan_dscnn_i8.txt"));
}

TEST_CASE("steps say what runs") {
  const Plan plan(graphs::conv(lathe::Dtype::f32), {.batch = 2, .level = Level::reference});
  REQUIRE(plan.steps().size() == 5);
  const StepInfo& step = plan.steps()[2];
  CHECK(step.op == "conv2d(activation=relu)");
  CHECK(step.name == "conv2");
  CHECK(step.kernel == "conv2d_f32_reference");
  CHECK(step.output == Shape{2, 11, 11, 64});
  CHECK(step.dtype == Dtype::f32);
  CHECK(step.flops == 2 * 2 * 11 * 11 * 64 * 288);
  CHECK(plan.batch() == 2);
  CHECK(plan.arena_bytes() >= 2 * 4 * (28 * 28 + 26 * 26 * 32));
  CHECK(plan.packed_bytes() >= 4 * 34826);
}

TEST_CASE("denormal numbers count as 0 in a run, and the caller's as themselves") {
  Maker maker(1);
  const ValueId x = maker.input({1, 40});
  const Graph graph = maker.finish(maker.node(Add{}, {x, x}));
  volatile float small = 1e-39f;
  for (const Level level : {Level::reference, lathe::runtime::best_level()}) {
    Plan plan(graph, {.level = level});
    std::ranges::fill(plan.input<float>(), static_cast<float>(small));
    plan.run();
    for (const float value : plan.output<float>()) CHECK(value == 0);
    CHECK(small + small > 0);
  }
}

TEST_CASE("each sample of a batch gives what it gives alone") {
  for (const Graph& graph : {graphs::conv(lathe::Dtype::i8), graphs::dscnn(lathe::Dtype::f32), residual()}) {
    Plan one(graph), three(graph, {.batch = 3});
    const auto in = one.input<float>().size(), out = one.output<float>().size();
    const auto values = floats(random_bytes(Dtype::f32, static_cast<std::int64_t>(3 * in), 9));
    std::ranges::copy(values, three.input<float>().begin());
    three.run();
    for (std::size_t n = 0; n < 3; ++n) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(n * in), in, one.input<float>().begin());
      one.run();
      CHECK(std::ranges::equal(one.output<float>(), three.output<float>().subspan(n * out, out)));
    }
  }
}

TEST_CASE("a plan gives the same bytes again, and so does a moved plan") {
  Plan plan(residual());
  const auto values = floats(random_bytes(Dtype::f32, 144, 3));
  const auto run = [&](Plan& some) {
    std::ranges::copy(values, some.input<float>().begin());
    some.run();
    return std::vector<float>(some.output<float>().begin(), some.output<float>().end());
  };
  const auto first = run(plan);
  CHECK(run(plan) == first);
  Plan moved(std::move(plan));
  CHECK(run(moved) == first);
}

TEST_CASE("a plan outlives its graph") {
  auto graph = std::make_unique<Graph>(residual());
  const auto expected = run(*graph, {});
  Plan plan(*graph);
  graph.reset();
  std::ranges::copy(floats(random_bytes(Dtype::f32, 144, 1)), plan.input<float>().begin());
  plan.run();
  CHECK(std::ranges::equal(plan.output<float>(), floats(expected)));
}

TEST_CASE("a fused silu equals one of its own") {
  Maker fused(4), apart(4);
  const Conv2d with{.activation = Activation::silu}, without;
  const Graph one = fused.finish(fused.weighted(with, fused.input({1, 5, 5, 3}), {7, 3, 3, 3}));
  const ValueId y = apart.weighted(without, apart.input({1, 5, 5, 3}), {7, 3, 3, 3});
  const Graph two = apart.finish(apart.node(Activate{Activation::silu}, {y}));
  CHECK(run(one, {}) == run(two, {}));
}

TEST_CASE("flattening costs no step and no memory; elementwise ops work in place") {
  Maker maker(1);
  ValueId x = maker.input({1, 4, 4, 4});
  x = maker.node(Reshape{{64}}, {x});
  x = maker.node(Activate{Activation::relu}, {x});
  x = maker.node(Reshape{{8, 8}}, {x});
  x = maker.node(Activate{Activation::sigmoid}, {x});
  const Plan plan(maker.finish(x), kReference);
  CHECK(plan.steps().size() == 2);
  CHECK(plan.arena_bytes() == 256);
}

TEST_CASE("work in place never destroys what is still needed") {
  Maker maker(1);
  const ValueId x = maker.input({1, 64});
  const ValueId a = maker.node(Activate{Activation::relu}, {x}, "a");
  const ValueId b = maker.node(Activate{Activation::sigmoid}, {x}, "b");
  Graph graph = maker.finish(maker.node(Add{}, {a, b}));
  graph.set_outputs({graph.outputs()[0], a, x});
  Plan plan(graph);
  const auto values = floats(random_bytes(Dtype::f32, 64, 2));
  std::ranges::copy(values, plan.input<float>().begin());
  plan.run();
  for (std::size_t i = 0; i < 64; ++i) {
    const float relu = std::max(values[i], 0.f);
    CHECK(plan.output<float>(2)[i] == values[i]);
    CHECK(plan.output<float>(1)[i] == relu);
    CHECK(plan.output<float>(0)[i] == doctest::Approx(relu + 1 / (1 + std::exp(-values[i]))).epsilon(1e-5));
  }
}

TEST_CASE("buffers are aligned to 64 bytes") {
  Plan plan(graphs::dscnn(lathe::Dtype::i8), {.batch = 3});
  CHECK(reinterpret_cast<std::uintptr_t>(plan.input<float>().data()) % 64 == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(plan.output<float>().data()) % 64 == 0);
}

TEST_CASE("run_timed computes the same and adds up a time for each step") {
  Plan plan(graphs::conv(lathe::Dtype::f32));
  std::ranges::copy(floats(random_bytes(Dtype::f32, 784, 1)), plan.input<float>().begin());
  plan.run();
  const std::vector<float> expected(plan.output<float>().begin(), plan.output<float>().end());
  std::ranges::copy(floats(random_bytes(Dtype::f32, 784, 1)), plan.input<float>().begin());
  std::vector<std::int64_t> ns(plan.steps().size(), 0);
  plan.run_timed(ns);
  CHECK(std::ranges::equal(plan.output<float>(), expected));
  CHECK(std::ranges::all_of(ns, [](std::int64_t t) { return t >= 0; }));
  CHECK(*std::ranges::max_element(ns) > 0);
  const auto once = ns;
  std::ranges::copy(floats(random_bytes(Dtype::f32, 784, 1)), plan.input<float>().begin());
  plan.run_timed(ns);
  CHECK(std::ranges::max(ns) > std::ranges::max(once));
}

TEST_CASE("what a user does wrong is said") {
  const Graph graph = graphs::tutorial(lathe::Dtype::f32);
  CHECK_ERROR(Plan(graph, {.batch = 0}), "batch size must be at least 1, given 0");
  Plan plan(graph);
  CHECK_ERROR(plan.input<float>(1), "there is no input 1, the plan has 1");
  CHECK_ERROR(plan.input<std::int8_t>(), "input 0 is f32, asked for as i8");
  CHECK_ERROR(plan.output<std::uint8_t>(), "output 0 is f32, asked for as u8");
  CHECK_ERROR(plan.output_shape(7), "there is no output 7");
}

TEST_CASE("a broken graph is refused with the node's name") {
  Maker maker(1);
  const ValueId x = maker.input({1, 5, 5, 3});
  Graph graph = maker.finish(maker.weighted(Conv2d{}, x, {4, 3, 3, 3}, "first"));
  Graph no_output = graph;
  no_output.set_outputs({});
  CHECK_ERROR(Plan(no_output), "at least one input and one output");
  Graph wrong_shape = graph;
  wrong_shape.value(graph.outputs()[0]).shape = {1, 3, 3, 5};
  CHECK_ERROR(Plan(wrong_shape), "first (conv2d)");
  Graph wrong_dtype = graph;
  wrong_dtype.value(graph.outputs()[0]).dtype = Dtype::i8;
  wrong_dtype.value(graph.outputs()[0]).quantization = codes();
  CHECK_ERROR(Plan(wrong_dtype), "first (conv2d)");
}

TEST_CASE("a computed weight is refused with the node's name") {
  Maker maker(1);
  const ValueId x = maker.input({1, 8});
  const ValueId w = maker.constant("w", {4, 8}, -1, 1);
  const ValueId computed = maker.node(Activate{Activation::relu}, {w}, "relu");
  CHECK_ERROR(Plan(maker.finish(maker.node(Linear{}, {x, computed}, "head"))),
              "node 1 head (linear): operand 1");
}
