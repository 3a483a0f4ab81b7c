#include "graphs.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <limits>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::best_level;
using lathe::runtime::Level;

namespace {

/// The weight of a linear layer made of `colors`, with `tail` as its last elements.
Graph colored(Graph graph, const std::vector<float>& colors, const std::vector<float>& tail) {
  Rng rng(9);
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    Value& value = graph.value(static_cast<ValueId>(i));
    if (!value.is_constant() || value.shape.rank() < 2) continue;
    std::vector<float> weight(static_cast<std::size_t>(value.shape.size()));
    for (float& w : weight) w = colors[rng.below(static_cast<std::uint32_t>(colors.size()))];
    std::ranges::copy(tail, weight.end() - static_cast<std::ptrdiff_t>(tail.size()));
    value.data = ConstantData::copy(std::as_bytes(std::span(weight)));
  }
  return graph;
}

std::vector<float> random_colors(int count, float low, float high) {
  Rng rng(3);
  std::vector<float> colors(static_cast<std::size_t>(count));
  rng.fill_uniform(colors, low, high);
  return colors;
}

std::string kernel_of(const Graph& graph) { return lathe::runtime::Plan(graph, {}).steps()[0].kernel; }

}  // namespace

TEST_CASE("weights of sixteen numbers are looked up, and the outputs are those of the same floats") {
  if (best_level() < Level::avx512) return;
  for (const Shape& weight : {Shape{260, 1031}, Shape{512, 1280}, Shape{5, 60'007}, Shape{2100, 128}}) {
    CAPTURE(to_string(weight));
    const Graph layer = one_layer(Dtype::f32, Linear{Activation::relu}, {1, weight[1]}, weight);
    for (const auto& colors : {random_colors(16, -0.1f, 0.1f), random_colors(16, -0.1f, -0.01f),
                               random_colors(3, 0, 0.1f), std::vector{0.1f}}) {
      // Numbers of another palette among the weights of the last output make the layer a dense one.
      const Graph palette = colored(layer, colors, {}),
                  dense = colored(layer, colors, random_colors(17, 0.2f, 0.3f));
      CHECK(kernel_of(palette) == "palette_linear_f32_avx512");
      CHECK(kernel_of(dense) == "linear_f32_avx512");
      const auto given = floats(run(palette, {.batch = 2})), expected = floats(run(dense, {.batch = 2}));
      REQUIRE(given.size() == expected.size());
      const auto outputs = static_cast<std::size_t>(weight[0]);
      std::size_t different = 0;
      for (std::size_t i = 0; i < given.size(); ++i)
        if (i % outputs + 1 < outputs)
          different += std::bit_cast<std::uint32_t>(given[i]) != std::bit_cast<std::uint32_t>(expected[i]);
      CHECK(different == 0);
    }
  }
}

TEST_CASE("few weights, more than sixteen numbers and numbers that are not finite are not looked up") {
  const auto kernel = [](const Shape& weight, const std::vector<float>& colors,
                         const std::vector<float>& tail = {}) {
    return kernel_of(colored(one_layer(Dtype::f32, Linear{}, {1, weight[1]}, weight), colors, tail));
  };
  const auto sixteen = random_colors(16, -0.1f, 0.1f);
  const auto looked_up = [](const std::string& name) { return name.starts_with("palette_"); };
  CHECK(looked_up(kernel({512, 512}, sixteen)) == (best_level() >= Level::avx512));
  CHECK_FALSE(looked_up(kernel({511, 512}, sixteen)));
  CHECK_FALSE(looked_up(kernel({512, 512}, sixteen, {0.5f})));
  CHECK_FALSE(
      looked_up(kernel({512, 512}, {sixteen[0], sixteen[1]}, {std::numeric_limits<float>::infinity()})));
  CHECK_FALSE(looked_up(kernel({512, 512}, {0.5f, 0.25f})));  // halves are faster
  CHECK(looked_up(kernel({1024, 512}, {0.5f, 0.25f})) == (best_level() >= Level::avx512));
}
