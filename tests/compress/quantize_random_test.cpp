// Random graphs after quantization: their constants, and what their integer plans compute.
#include "random_graph.h"
#include "variant_error.h"

#include <lathe/compress/passes.h>
#include <lathe/compress/quantize.h>

#include <algorithm>
#include <cmath>

using namespace lathe;
using namespace lathe::graph;
using compress::calibrate;
using compress::FloatNode;
using compress::quantize;
using compress::Ranges;

namespace {

const graph::Node* find(const Graph& graph, std::string_view name) {
  for (const graph::Node& node : graph.nodes())
    if (node.name == name) return &node;
  return nullptr;
}

/// Weights and biases of `integer` against those of the node of the same name in `real`.
void check_constants(const Graph& real, const Graph& integer, const graph::Node& node) {
  const graph::Node& before = *find(real, node.name);
  if (std::holds_alternative<BatchNorm>(before.op)) return;  // its weights are no constants of the graph
  const Value &weight = integer.value(node.inputs[1]), &was = real.value(before.inputs[1]);
  const auto codes = weight.elements<std::int8_t>();
  const std::size_t taps = codes.size() / weight.quantization->scale.size();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const double scale = static_cast<double>(weight.quantization->scale[i / taps]);
    CHECK(std::abs(scale * codes[i] - static_cast<double>(was.elements<float>()[i])) <= 0.5001 * scale);
  }
  if (node.inputs.size() < 3) return;
  const Value& bias = integer.value(node.inputs[2]);
  for (std::size_t c = 0; c < bias.elements<std::int32_t>().size(); ++c) {
    const double scale = static_cast<double>(bias.quantization->scale[c]);
    const double given = scale * bias.elements<std::int32_t>()[c];
    const double wanted = static_cast<double>(real.value(before.inputs[2]).elements<float>()[c]);
    CHECK(std::abs(given - wanted) <= 0.5001 * scale);
  }
}

}  // namespace

TEST_CASE("weights and biases of random graphs come back within half a step") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const Graph real = compress::optimize(random_graph(seed));
    const Tensor x = random_input(real, 4, seed);
    const Graph integer = quantize(real, calibrate(real, std::span(&x, 1)));
    for (const graph::Node& node : integer.nodes())
      if ((std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op)) &&
          integer.value(node.output).dtype == Dtype::i8)
        check_constants(real, integer, node);
  }
}

TEST_CASE("integer plans of random graphs compute nearly what the float graphs do") {
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 80; ++seed) {
    const Graph real = compress::optimize(random_graph(seed));
    const Tensor x = random_input(real, 16, seed);
    std::vector<FloatNode> left;
    const Graph integer = quantize(real, calibrate(real, std::span(&x, 1)), {}, &left);
    CHECK(left.empty());
    const double error = variant_error(integer, real, x, runtime::Level::reference);
    INFO("seed ", seed, "\n", to_string(real));
    CHECK(error < 0.1);
    worst = std::max(worst, error);
  }
  MESSAGE("largest relative error " << worst);
}

TEST_CASE("so they do when some values have no range") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Graph real = compress::optimize(random_graph(seed));
    const Tensor x = random_input(real, 16, seed);
    Ranges ranges = calibrate(real, std::span(&x, 1));
    Rng rng(seed);
    for (auto& range : ranges)
      if (rng.below(3) == 0) range.reset();
    std::vector<FloatNode> left;
    const Graph mixed = quantize(real, ranges, {}, &left);
    INFO("seed ", seed, "\n", to_string(mixed));
    CHECK(variant_error(mixed, real, x, runtime::Level::reference) < 0.1);
  }
}
