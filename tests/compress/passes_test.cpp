#include "random_graph.h"
#include "support/errors.h"

#include <lathe/compress/passes.h>
#include <lathe/compress/quantize.h>
#include <lathe/core/evaluate.h>
#include <lathe/graph/model_file.h>

#include <algorithm>
#include <array>
#include <cmath>

using namespace lathe;
using namespace lathe::graph;

namespace {

/// Largest difference between the outputs of two graphs, relative to the largest output.
double difference(const Graph& a, const Graph& b, const Tensor& x) {
  const std::vector<Tensor> left = evaluate(a, std::span(&x, 1)), right = evaluate(b, std::span(&x, 1));
  REQUIRE(left.size() == right.size());
  double largest = 0, apart = 0;
  for (std::size_t k = 0; k < left.size(); ++k) {
    REQUIRE(left[k].shape() == right[k].shape());
    for (std::size_t i = 0; i < left[k].span<float>().size(); ++i) {
      const double u = static_cast<double>(left[k].span<float>()[i]),
                   v = static_cast<double>(right[k].span<float>()[i]);
      largest = std::max(largest, std::abs(u));
      apart = std::max(apart, std::abs(u - v));
    }
  }
  REQUIRE(std::isfinite(largest));
  return apart / std::max(largest, 1e-6);
}

ValueId constant(Graph& graph, std::string name, const Shape& shape, std::vector<float> pattern) {
  std::vector<float> elements(static_cast<std::size_t>(shape.size()));
  for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = pattern[i % pattern.size()];
  return graph.add_constant(std::move(name), shape, elements);
}

template <typename SomeOp>
int count(const Graph& graph) {
  return static_cast<int>(std::ranges::count_if(
      graph.nodes(), [](const graph::Node& node) { return std::holds_alternative<SomeOp>(node.op); }));
}

/// conv [3,3,3,2] on [1,6,6,2], the start of most examples.
struct Example {
  Graph graph;
  ValueId y = -1;

  explicit Example(Activation activation = Activation::none, int padding = 0, bool pad = false,
                   Pad amounts = {}) {
    const ValueId x = graph.add_input("x", {1, 6, 6, 2});
    y = pad ? graph.add_node(amounts, {x}, "pad") : x;
    const ValueId w = constant(graph, "conv.weight", {3, 3, 3, 2}, {0.5f, -0.25f, 1, 0.125f, -1});
    y = graph.add_node(Conv2d{.padding = padding == 0 ? Padding::valid() : Padding::symmetric(padding),
                              .activation = activation},
                       {y, w}, "conv");
  }
  void norm() {
    y = graph.add_node(
        BatchNorm{},
        {y, constant(graph, "bn.gamma", {3}, {1, -2, 0.5f}), constant(graph, "bn.beta", {3}, {0.5f, 1, -1}),
         constant(graph, "bn.moving_mean", {3}, {0.25f, -1, 0}),
         constant(graph, "bn.moving_variance", {3}, {1, 4, 0.25f})},
        "bn");
  }
  void relu() { y = graph.add_node(Activate{Activation::relu}, {y}, "relu"); }
  Graph finish() {
    graph.set_outputs({y});
    return graph;
  }
};

Graph break_shape(const Graph& graph) {
  Graph broken = graph;
  broken.value(broken.outputs()[0]).shape = {1, 1};
  return broken;
}

Graph refuse(const Graph&) { fail("no"); }

}  // namespace

TEST_CASE("every pass leaves what random graphs compute") {
  struct Named {
    std::string name;
    Graph (*run)(const Graph&);
  };
  const auto all = [](const Graph& graph) { return compress::optimize(graph); };
  const std::array passes{Named{"fold_constants", compress::fold_constants},
                          Named{"fold_batch_norm", compress::fold_batch_norm},
                          Named{"fuse_activations", compress::fuse_activations},
                          Named{"fuse_padding", compress::fuse_padding},
                          Named{"remove_dead_code", compress::remove_dead_code},
                          Named{"optimize", all}};
  std::array<int, passes.size()> changed{};
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const Graph before = random_graph(seed);
    verify(before);
    const Tensor x = random_input(before, 2, seed);
    for (std::size_t i = 0; i < passes.size(); ++i) {
      const Graph after = passes[i].run(before);
      verify(after);
      INFO("seed ", seed, ", ", passes[i].name, "\n", to_string(before), "\n", to_string(after));
      CHECK(difference(before, after, x) < 1e-5);
      CHECK(after.nodes().size() <= before.nodes().size());
      changed[i] += after.nodes().size() < before.nodes().size();
    }
  }
  for (std::size_t i = 0; i < passes.size(); ++i) {
    INFO(passes[i].name);
    CHECK(changed[i] >= 15);
  }
}

TEST_CASE("an optimised graph is not changed by optimising it again") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Graph once = compress::optimize(random_graph(seed));
    CHECK(compress::optimize(once).nodes().size() == once.nodes().size());
  }
}

TEST_CASE("weights computed out of constants become constants with their name") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 2});
  const ValueId w = constant(graph, "w", {2, 2}, {1, 2, 3, 4}),
                mask = constant(graph, "w.mask", {2, 2}, {1, 0, 0, 1});
  graph.set_outputs({graph.add_node(Linear{}, {x, graph.add_node(Multiply{}, {w, mask})})});
  const Graph folded = compress::fold_constants(graph);
  REQUIRE(folded.nodes().size() == 1);
  CHECK(folded.values().size() == 3);
  const Value& weight = folded.value(folded.nodes()[0].inputs[1]);
  CHECK(weight.name == "w");
  CHECK(std::ranges::equal(weight.elements<float>(), std::vector<float>{1, 0, 0, 4}));
}

TEST_CASE("batch norm goes into a layer without activation and keeps its own") {
  Example example;
  example.norm();
  const Graph folded = compress::fold_batch_norm(example.finish());
  REQUIRE(folded.nodes().size() == 1);
  CHECK(folded.nodes()[0].name == "conv");
  const Value& bias = folded.value(folded.nodes()[0].inputs[2]);
  CHECK(bias.name == "conv.bias");
  // beta - mean * gamma / sqrt(variance + epsilon) of channel 1
  CHECK(bias.elements<float>()[1] == doctest::Approx(1 - -1 * -2 / std::sqrt(4.001)));
  example.graph.set_outputs({example.graph.add_node(
      BatchNorm{.activation = Activation::relu6},
      {0, constant(example.graph, "g", {2}, {1}), constant(example.graph, "b", {2}, {1}),
       constant(example.graph, "m", {2}, {1}), constant(example.graph, "v", {2}, {1})})});
  CHECK(count<BatchNorm>(compress::fold_batch_norm(example.graph)) == 1);  // nothing before it
}

TEST_CASE("batch norm stays behind an activation, a second reader or another op") {
  Example clamped(Activation::relu);
  clamped.norm();
  CHECK(count<BatchNorm>(compress::fold_batch_norm(clamped.finish())) == 1);

  Example shared;
  const ValueId conv = shared.y;
  shared.norm();
  shared.y = shared.graph.add_node(Add{}, {shared.y, conv});
  CHECK(count<BatchNorm>(compress::fold_batch_norm(shared.finish())) == 1);

  Example output;
  const ValueId first = output.y;
  output.norm();
  output.graph.set_outputs({output.y, first});
  CHECK(count<BatchNorm>(compress::fold_batch_norm(output.graph)) == 1);

  Example pooled;
  pooled.y = pooled.graph.add_node(MaxPool2d{}, {pooled.y});
  pooled.norm();
  CHECK(count<BatchNorm>(compress::fold_batch_norm(pooled.finish())) == 1);
}

TEST_CASE("batch norms in a row all go into the layer") {
  Example example;
  example.norm();
  example.norm();
  example.relu();
  const Graph graph = compress::optimize(example.finish());
  REQUIRE(graph.nodes().size() == 1);
  CHECK(to_string(graph.nodes()[0].op) == "conv2d(activation=relu)");
}

TEST_CASE("clamps go into the op before them, once and only when nobody else reads it") {
  Example example;
  example.relu();
  CHECK(compress::fuse_activations(example.finish()).nodes().size() == 1);

  Example twice;
  twice.relu();
  twice.relu();
  CHECK(compress::fuse_activations(twice.finish()).nodes().size() == 2);

  Example shared;
  const ValueId conv = shared.y;
  shared.relu();
  shared.y = shared.graph.add_node(Add{}, {shared.y, conv});
  CHECK(count<Activate>(compress::fuse_activations(shared.finish())) == 1);

  Example silu;
  silu.y = silu.graph.add_node(Activate{Activation::silu}, {silu.y});
  CHECK(count<Activate>(compress::fuse_activations(silu.finish())) == 1);

  Graph bare;
  bare.set_outputs({bare.add_node(Activate{Activation::relu}, {bare.add_input("x", {1, 4})})});
  CHECK(compress::fuse_activations(bare).nodes().size() == 1);
}

TEST_CASE("pads go into a convolution when its padding can say the same") {
  const auto padding_of = [](int inner, Pad amounts) {
    const Graph graph = compress::fuse_padding(Example(Activation::none, inner, true, amounts).finish());
    return to_string(graph.nodes().back().op) + (graph.nodes().size() == 1 ? "" : " after pad");
  };
  CHECK(padding_of(0, {1, 1, 1, 1}) == "conv2d(padding=same)");
  CHECK(padding_of(1, {1, 1, 1, 1}) == "conv2d(padding=symmetric(2))");
  CHECK(padding_of(0, {2, 2, 2, 2}) == "conv2d(padding=symmetric(2))");
  CHECK(padding_of(0, {0, 0, 0, 0}) == "conv2d");
  CHECK(padding_of(0, {0, 1, 0, 0}) == "conv2d after pad");
  CHECK(padding_of(0, {1, 1, 2, 2}) == "conv2d after pad");
}

TEST_CASE("the uneven pad before a convolution with stride 2 is padding same") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 224, 224, 3});
  const ValueId padded = graph.add_node(Pad{.bottom = 1, .right = 1}, {x});
  const ValueId w = constant(graph, "w", {4, 3, 3, 3}, {1});
  graph.set_outputs({graph.add_node(Conv2d{.stride_h = 2, .stride_w = 2}, {padded, w})});
  CHECK(to_string(compress::fuse_padding(graph).nodes().back().op) ==
        "conv2d(stride_h=2, stride_w=2, padding=same)");
}

TEST_CASE("a pad with two readers stays") {
  Graph graph;
  const ValueId padded = graph.add_node(Pad{1, 1, 1, 1}, {graph.add_input("x", {1, 6, 6, 2})});
  const ValueId w = constant(graph, "w", {2, 3, 3, 2}, {1});
  graph.set_outputs({graph.add_node(Conv2d{}, {padded, w}), graph.add_node(MaxPool2d{}, {padded})});
  CHECK(count<Pad>(compress::fuse_padding(graph)) == 1);
}

TEST_CASE("what no output needs disappears, inputs stay") {
  Example example;
  example.graph.add_node(Activate{}, {example.y}, "unused");
  constant(example.graph, "unused", {4}, {1});
  example.graph.add_input("second", {1, 3});
  const Graph graph = compress::remove_dead_code(example.finish());
  CHECK(graph.nodes().size() == 1);
  CHECK(graph.inputs().size() == 2);
  CHECK(graph.values().size() == 4);
}

TEST_CASE("passes keep dtypes and parameters of integer graphs") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4, 4, 1});
  const Quantization q{{0.5f}, 3};
  ValueId y = graph.add_node(Quantize{}, {x}, "", Dtype::i8, q);
  y = graph.add_node(MaxPool2d{}, {y}, "pool", Dtype::i8, q);
  graph.set_outputs({graph.add_node(Dequantize{}, {y})});
  CHECK(to_string(compress::optimize(graph)) == to_string(graph));
}

TEST_CASE("a chain of 10,000 nodes is nothing special") {
  Graph graph;
  ValueId y = graph.add_input("x", {1, 4});
  for (int i = 0; i < 10000; ++i) y = graph.add_node(Activate{Activation::silu}, {y});
  graph.set_outputs({y});
  const Graph read = decode(encode(compress::optimize(graph)), "chain");
  CHECK(read.nodes().size() == 10000);
  compress::Ranges ranges(read.values().size(), compress::Range{-1, 1});
  CHECK(compress::quantize(read, ranges).nodes().size() == 10002);
}

TEST_CASE("a pass that breaks a graph is named") {
  const Graph graph = Example().finish();
  const std::array broken{compress::Pass{"fold_batch_norm", compress::fold_batch_norm},
                          compress::Pass{"break_shape", break_shape}};
  CHECK_ERROR(compress::run_passes(graph, broken),
              "pass break_shape: node 0 conv (conv2d): output is [1,4,4,3], the value has [1,1]");
  const std::array refusing{compress::Pass{"refuse", refuse}};
  CHECK_ERROR(compress::run_passes(graph, refusing), "pass refuse: no");
  CHECK_ERROR(compress::optimize(break_shape(graph)), "node 0 conv (conv2d): output is");
}
