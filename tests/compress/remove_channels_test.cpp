#include <lathe/base/random.h>
#include <lathe/compress/passes.h>
#include <lathe/core/evaluate.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace lathe;
using namespace lathe::graph;

namespace {

/// Random weights; those of output channel o are 0 where the bit o of `without` is set.
ValueId weight(Graph& graph, const std::string& name, const Shape& shape, std::uint32_t without, Rng& rng) {
  std::vector<float> elements(static_cast<std::size_t>(shape.size()));
  rng.fill_uniform(elements, -1, 1);
  const std::size_t taps = elements.size() / static_cast<std::size_t>(shape[0]);
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (without >> (i / taps) & 1) elements[i] = 0;
  return graph.add_constant(name, shape, elements);
}

ValueId bias(Graph& graph, const std::string& name, std::vector<float> elements) {
  return graph.add_constant(name, {static_cast<std::int64_t>(elements.size())}, elements);
}

/// conv (8 channels) - relu within it - max pool - conv (4 channels) - relu - flatten - linear.
struct Net {
  std::uint32_t first_without = 0, second_without = 0;
  std::vector<float> first_bias = std::vector<float>(8, -0.25f), second_bias = std::vector<float>(4, -0.25f);
  Activation first = Activation::relu;

  Graph make() const {
    Rng rng(3);
    Graph graph;
    ValueId y = graph.add_input("x", {1, 9, 9, 2});
    y = graph.add_node(
        Conv2d{.padding = Padding::symmetric(1), .activation = first},
        {y, weight(graph, "a.weight", {8, 3, 3, 2}, first_without, rng), bias(graph, "a.bias", first_bias)},
        "a");
    y = graph.add_node(MaxPool2d{}, {y}, "pool");
    y = graph.add_node(
        Conv2d{.padding = Padding::symmetric(1)},
        {y, weight(graph, "b.weight", {4, 3, 3, 8}, second_without, rng), bias(graph, "b.bias", second_bias)},
        "b");
    y = graph.add_node(Activate{Activation::relu}, {y}, "relu");
    y = graph.add_node(Reshape{{64}}, {y}, "flatten");
    y = graph.add_node(Linear{}, {y, weight(graph, "head.weight", {3, 64}, 0, rng)}, "head");
    graph.set_outputs({y});
    return graph;
  }
};

Shape shape_of(const Graph& graph, std::string_view name) {
  for (const Value& value : graph.values())
    if (value.name == name) return value.shape;
  return {};
}

double difference(const Graph& a, const Graph& b) {
  Tensor x = Tensor::empty(a.value(a.inputs()[0]).shape.with(0, 5));
  Rng(7).fill_uniform(x.mutable_span<float>(), -1, 1);
  const Tensor u = evaluate(a, std::span(&x, 1))[0], v = evaluate(b, std::span(&x, 1))[0];
  double largest = 0;
  for (std::size_t i = 0; i < u.span<float>().size(); ++i)
    largest = std::max(largest, static_cast<double>(std::abs(u.span<float>()[i] - v.span<float>()[i])));
  return largest;
}

}  // namespace

TEST_CASE("channels that are 0 whatever the input go, with what reads them") {
  for (const std::uint32_t without : {0U, 1U, 0x80U, 0x55U, 0x7FU}) {
    CAPTURE(without);
    const Graph before = Net{.first_without = without}.make(), after = compress::remove_channels(before);
    verify(after);
    const int left = 8 - std::popcount(without);
    CHECK(shape_of(after, "a.weight") == Shape{left, 3, 3, 2});
    CHECK(shape_of(after, "a.bias") == Shape{left});
    CHECK(shape_of(after, "b.weight") == Shape{4, 3, 3, left});
    CHECK(difference(before, after) < 1e-5);
  }
}

TEST_CASE("behind a flatten the columns of a channel go") {
  const Graph before = Net{.second_without = 0b0101}.make(), after = compress::remove_channels(before);
  verify(after);
  CHECK(shape_of(after, "b.weight") == Shape{2, 3, 3, 8});
  CHECK(shape_of(after, "head.weight") == Shape{3, 32});
  CHECK(difference(before, after) < 1e-5);
}

TEST_CASE("what nothing weighs goes, and then what only that weighed") {
  Net net;
  Graph before = net.make();
  // The head reads channel 1 of b alone, and that reads channels 2 and 5 of a.
  const auto clear = [&](std::string_view name, std::size_t channels, const auto& keep) {
    for (std::size_t id = 0; id < before.values().size(); ++id) {
      Value& value = before.value(static_cast<ValueId>(id));
      if (value.name != name) continue;
      std::vector<float> elements(value.elements<float>().begin(), value.elements<float>().end());
      for (std::size_t i = 0; i < elements.size(); ++i)
        if (!keep(i % channels)) elements[i] = 0;
      value.data = ConstantData::copy(std::as_bytes(std::span(elements)));
    }
  };
  clear("head.weight", 4, [](std::size_t c) { return c == 1; });
  clear("b.weight", 8, [](std::size_t c) { return c == 2 || c == 5; });
  const Graph after = compress::remove_channels(before);
  verify(after);
  CHECK(shape_of(after, "head.weight") == Shape{3, 16});
  CHECK(shape_of(after, "b.weight") == Shape{1, 3, 3, 2});
  CHECK(shape_of(after, "a.weight") == Shape{2, 3, 3, 2});
  CHECK(difference(before, after) < 1e-5);
}

TEST_CASE("a channel with a bias that gets through stays, and so do others that are not always 0") {
  const Graph through = Net{.first_without = 2, .first_bias = {-1, 0.5f, -1, -1, -1, -1, -1, -1}}.make();
  CHECK(shape_of(compress::remove_channels(through), "a.weight")[0] == 8);
  const Graph open = Net{.first_without = 2, .first = Activation::none}.make();
  CHECK(shape_of(compress::remove_channels(open), "a.weight")[0] == 8);
  const Graph sigmoid = Net{.first_without = 2, .first = Activation::sigmoid}.make();
  CHECK(shape_of(compress::remove_channels(sigmoid), "a.weight")[0] == 8);
}

TEST_CASE("of a layer that gives nothing one channel stays") {
  const Graph before = Net{.first_without = 0xFF}.make(), after = compress::remove_channels(before);
  verify(after);
  CHECK(shape_of(after, "a.weight")[0] == 1);
  CHECK(difference(before, after) < 1e-5);
}

TEST_CASE("channels that something else reads stay") {
  Rng rng(1);
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 4, 4, 2});
  const ValueId a = graph.add_node(Conv2d{.activation = Activation::relu},
                                   {x, weight(graph, "a.weight", {4, 1, 1, 2}, 0b0110, rng)}, "a");
  const ValueId b = graph.add_node(Conv2d{}, {a, weight(graph, "b.weight", {4, 1, 1, 4}, 0, rng)}, "b");
  graph.set_outputs({graph.add_node(Add{}, {a, b}, "sum")});
  CHECK(to_string(compress::remove_channels(graph)) == to_string(graph));
}
