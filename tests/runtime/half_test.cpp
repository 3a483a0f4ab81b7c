#include "graphs.h"

#include <lathe/base/half.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;

namespace {

/// The weights of the graph's layers rounded to halves, but those of the last output channel, when
/// `one_float`.
Graph rounded(Graph graph, bool one_float) {
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.is_constant() || value.shape.rank() < 2) continue;
    std::vector<float> weight(value.elements<float>().begin(), value.elements<float>().end());
    for (float& w : weight) w = lathe::half_to_float(lathe::float_to_half(w));
    if (one_float) weight.back() = std::bit_cast<float>(std::bit_cast<std::uint32_t>(weight.back()) | 1u);
    value.data = ConstantData::copy(std::as_bytes(std::span(weight)));
  }
  return graph;
}

}  // namespace

TEST_CASE("weights that are halves stay halves, and the outputs are those of the same floats") {
  const struct {
    Op op;
    Shape input, weight;
  } kCases[] = {
      {Conv2d{.padding = Padding::same(), .activation = Activation::relu}, {1, 5, 6, 24}, {40, 3, 3, 24}},
      {Conv2d{}, {1, 4, 7, 70}, {77, 1, 1, 70}},
      {Conv2d{.groups = 2}, {1, 6, 6, 64}, {70, 3, 3, 32}},
      {Linear{}, {1, 333}, {37, 333}},
  };
  for (const Level level : fast_levels()) {
    if (level < Level::avx2) continue;
    for (const auto& one : kCases) {
      CAPTURE(to_string(level));
      CAPTURE(lathe::graph::to_string(one.op));
      const Graph graph = one_layer(Dtype::f32, one.op, one.input, one.weight);
      std::string half, whole;
      const auto halves = floats(run(rounded(graph, false), {.batch = 2, .level = level}, 1, &half));
      const auto reals = floats(run(rounded(graph, true), {.batch = 2, .level = level}, 1, &whole));
      CHECK(half.find("half_") != std::string::npos);
      CHECK(whole.find("half_") == std::string::npos);
      // The last weight differs, in the last channel only.
      REQUIRE(halves.size() == reals.size());
      const auto channels = static_cast<std::size_t>(one.weight[0]);
      std::size_t different = 0;
      for (std::size_t i = 0; i < halves.size(); ++i)
        if (i % channels + 1 < channels) different += halves[i] != reals[i];
      CHECK(different == 0);
    }
  }
}

TEST_CASE("few weights and many pixels are not worth it") {
  std::string kernels;
  run(rounded(one_layer(Dtype::f32, Conv2d{}, {1, 9, 8, 70}, {77, 1, 1, 70}), false), {}, 1, &kernels);
  run(rounded(one_layer(Dtype::f32, Linear{}, {1, 60}, {60, 60}), false), {}, 1, &kernels);
  CHECK(kernels.find("half_") == std::string::npos);
}
