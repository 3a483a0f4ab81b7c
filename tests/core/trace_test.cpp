#include "support/errors.h"
#include "support/op_cases.h"

#include <lathe/core/autograd.h>
#include <lathe/core/evaluate.h>
#include <lathe/core/ops.h>
#include <lathe/core/trace.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace lathe {
namespace {

/// A small network with every way a tensor can come in: constants named, unnamed and computed, an absent
/// bias.
struct Network {
  Tensor kernel, gamma, mean, weight, mask;

  explicit Network(Rng& rng)
      : kernel(testing::uniform({4, 3, 3, 2}, rng)),
        gamma(testing::uniform({4}, rng, 0.5f, 1)),
        mean(testing::uniform({4}, rng)),
        weight(testing::uniform({3, 36}, rng)),
        mask(Tensor::full({3, 36}, 2)) {}

  Tensor operator()(const Tensor& x) const {
    const NameScope scope("network");
    Tensor y;
    {
      const NameScope inner("conv1");
      y = conv2d(x, kernel, {}, {.activation = Activation::relu});
    }
    y = add(y, batch_norm(y, gamma, mean, mean, gamma));
    return linear(flatten(y), multiply(weight, mask), {});
  }
};

TEST_CASE("scopes join their names with dots, on each thread its own") {
  CHECK(NameScope::path().empty());
  const NameScope root("");
  const NameScope block("block1");
  {
    const NameScope conv("conv");
    CHECK(NameScope::path() == "block1.conv");
    std::string elsewhere = "?";
    std::thread([&] { elsewhere = NameScope::path(); }).join();
    CHECK(elsewhere.empty());
  }
  CHECK(NameScope::path() == "block1");
}

TEST_CASE("a trace writes down operations, names and constants") {
  Rng rng(1);
  const Network network(rng);
  const Tensor x = testing::uniform({1, 5, 5, 2}, rng);
  TraceScope trace;
  trace.input(x, "image");
  trace.constant(network.kernel, "conv1.weight");
  trace.constant(network.gamma, "gamma");
  const graph::Graph graph = trace.finish(network(x));
  CHECK(graph::to_string(graph) == R"(%0 f32[1,5,5,2] = input image
conv1.weight f32[4,3,3,2] = constant
gamma f32[4] = constant
constant_0 f32[4] = constant
constant_1 f32[3,36] = constant
%2 f32[1,3,3,4] = conv2d(activation=relu) %0 conv1.weight  # network.conv1
%5 f32[1,3,3,4] = batch_norm %2 gamma constant_0 constant_0 gamma  # network
%6 f32[1,3,3,4] = add %2 %5  # network
%7 f32[1,36] = reshape(dims=[36]) %6  # network
%9 f32[1,3] = linear %7 constant_1  # network
output %9
)");
  CHECK_NOTHROW(graph::verify(graph));
}

TEST_CASE("a traced graph computes what was traced, for any batch") {
  Rng rng(2);
  const Network network(rng);
  const Tensor sample = testing::uniform({1, 5, 5, 2}, rng);
  graph::Graph graph;
  {
    TraceScope trace;
    trace.input(sample, "image");
    graph = trace.finish(network(sample));
  }
  const Tensor batch = testing::uniform({7, 5, 5, 2}, rng);
  std::vector<graph::ValueId> seen;
  const std::vector<Tensor> outputs =
      evaluate(graph, {&batch, 1}, [&](graph::ValueId id, const Tensor& value) {
        seen.push_back(id);
        CHECK(value.shape() == graph.value(id).shape.with(0, 7));
      });
  REQUIRE(outputs.size() == 1);
  const Tensor expected = network(batch);
  CHECK(std::ranges::equal(outputs[0].raw(), expected.raw()));
  CHECK(seen.size() == graph.nodes().size() + 1);
}

TEST_CASE("a trace sees operations that are recorded for gradients, too") {
  Rng rng(3);
  Network network(rng);
  network.kernel.set_requires_grad(true);
  const Tensor x = testing::uniform({1, 5, 5, 2}, rng);
  TraceScope trace;
  trace.input(x, "image");
  const Tensor y = network(x);
  CHECK(y.requires_grad());
  CHECK(trace.finish(y).nodes().size() == 5);
}

TEST_CASE("misused traces are refused") {
  const Tensor x = Tensor::zeros({1, 4}), other = Tensor::zeros({1, 4});
  TraceScope trace;
  CHECK_ERROR(TraceScope(), "trace: one is active on this thread already");
  CHECK_ERROR(trace.input(Tensor::zeros({2, 4}), "x"),
              "trace: input x must have batch size 1 in axis 0, given [2,4]");
  CHECK_ERROR(trace.input({}, "x"), "given an empty handle");
  CHECK_ERROR(trace.constant({}, "weight"), "trace: constant weight must not be empty");
  trace.input(x, "x");
  CHECK_ERROR(trace.input(x, "again"), "trace: input again is known already");
  CHECK_ERROR(trace.finish(relu(other)), "trace: the output does not depend on an input");
  CHECK_ERROR(trace.finish({}), "trace: the output does not depend on an input");
  CHECK_NOTHROW(trace.finish(relu(x)));
}

TEST_CASE("a trace may be followed by another") {
  const Tensor x = Tensor::zeros({1, 4});
  for (int round = 0; round < 2; ++round) {
    TraceScope trace;
    trace.input(x, "x");
    CHECK(trace.finish(relu(x)).nodes().size() == 1);
  }
}

TEST_CASE("evaluation refuses inputs that do not fit and graphs of integers") {
  graph::Graph graph;
  const graph::ValueId x = graph.add_input("x", {1, 4});
  graph.set_outputs({graph.add_node(graph::Activate{}, {x}, "act")});
  const auto run = [&](std::vector<Tensor> inputs) { return evaluate(graph, inputs); };
  CHECK(run({Tensor::zeros({3, 4})})[0].shape() == Shape{3, 4});
  CHECK_ERROR(run({}), "evaluate: the graph has 1 inputs, 0 given");
  CHECK_ERROR(run({Tensor::zeros({3, 5})}),
              "evaluate: input x must be f32[1,4] with any number for the batch");
  CHECK_ERROR(run({Tensor::zeros({3, 4}, Dtype::u8)}), "given u8[3,4]");
  CHECK_ERROR(run({Tensor()}), "given an empty handle");
  graph.add_node(graph::Quantize{}, {x}, "quantize", Dtype::i8, graph::Quantization{.scale = {0.5f}});
  CHECK_ERROR(run({Tensor::zeros({3, 4})}), "the graph has integer values");

  graph::Graph unquantized;
  const graph::ValueId in = unquantized.add_input("x", {1, 4});
  unquantized.set_outputs({unquantized.add_node(graph::Dequantize{}, {in}, "head")});
  CHECK_ERROR(evaluate(unquantized, std::vector{Tensor::zeros({1, 4})}),
              "evaluate: head: dequantize: has no training kernel, integers belong to the runtime");
}

TEST_CASE("an operation applied by its description checks its inputs") {
  const Tensor x = Tensor::zeros({2, 3});
  CHECK_ERROR(lathe::apply(graph::Add{}, std::vector{x}), "add: takes 2 inputs, 1 given ([2,3])");
  CHECK_ERROR(lathe::apply(graph::Add{}, std::vector{x, Tensor()}), "add: input 1 must not be empty");
  CHECK_ERROR(lathe::apply(graph::Dropout{}, std::vector{x}), "dropout: needs random numbers");
  CHECK_ERROR(lathe::apply(graph::Quantize{}, std::vector{x}), "quantize: has no training kernel");
}

}  // namespace
}  // namespace lathe
