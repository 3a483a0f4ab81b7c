#include "quantizers.h"
#include "trace_modules.h"

#include "../layers/forward_observer.h"

#include <lathe/base/error.h>
#include <lathe/base/random.h>
#include <lathe/compress/passes.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/core/evaluate.h>
#include <lathe/core/trace.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

namespace lathe::compress {
namespace {

/// Images that reach into every value a pixel can have.
Tensor random_images(const Shape& shape) {
  Tensor images = Tensor::empty(shape);
  Rng(0).split("parity").fill_uniform(images.mutable_span<float>(), 0, 1);
  return images;
}

constexpr std::int64_t kParityImages = 4;
constexpr double kParityTolerance = 1e-3;  ///< relative to the largest output: folding rounds anew

}  // namespace

void check_parity(const graph::Graph& graph, layers::Module& module, const Shape& input) {
  const Tensor images = random_images(input.with(0, kParityImages));
  const Tensor expected = module(images);
  const Tensor given = evaluate(graph, std::span(&images, 1)).front();
  check(given.shape() == expected.shape(), "export: the graph's output is {}, the module's {}",
        to_string(given.shape()), to_string(expected.shape()));
  double largest = 0, difference = 0;
  bool finite = true;
  for (std::size_t i = 0; i < expected.span<float>().size(); ++i) {
    const double a = static_cast<double>(given.span<float>()[i]),
                 b = static_cast<double>(expected.span<float>()[i]);
    finite = finite && std::isfinite(a) && std::isfinite(b);
    largest = std::max(largest, std::abs(b));
    difference = std::max(difference, std::abs(a - b));
  }
  check(finite, "export: outputs for random images are not finite");
  check(difference <= kParityTolerance * largest,
        "export: the graph's outputs differ from the module's by {:.3g}, the largest output is {:.3g}",
        difference, largest);
}

graph::Graph trace(layers::Module& module, const Shape& input) {
  return trace_modules(module, input, [](layers::Module&, graph::ValueId) {});
}

graph::Graph trace_modules(layers::Module& module, const Shape& input,
                           FunctionRef<void(layers::Module&, graph::ValueId)> see) {
  check(input.rank() >= 2 && input[0] == 1, "trace: the input must be [1,...], given {}", to_string(input));
  const NoGrad no_grad;
  const layers::EvalMode evaluation(module);
  const layers::FrozenValues frozen(module);
  std::unordered_map<const layers::Module*, layers::Module*> parts;
  for (const auto& [path, part] : module.modules()) parts.emplace(part, part);
  const Tensor x = Tensor::zeros(input);
  TraceScope scope;
  scope.input(x, "input");
  for (const auto& [name, parameter] : module.parameters()) scope.constant(parameter.value(), name);
  for (const auto& [name, buffer] : module.buffers()) scope.constant(buffer, name);
  const layers::detail::ForwardObserver observer(
      [&](const layers::Module& part, const Tensor& output) { see(*parts.at(&part), scope.find(output)); });
  return scope.finish(module(x));
}

graph::Graph export_float(layers::Module& module, const Shape& input) {
  const QuantizersIn off(module, QuantizerMode::off, /*activations_only=*/true);
  constexpr std::array kThinner = {Pass{"remove_channels", remove_channels}};
  graph::Graph graph = run_passes(optimize(trace(module, input)), kThinner);
  const NoGrad no_grad;
  const layers::EvalMode evaluation(module);
  check_parity(graph, module, input);
  return graph;
}

}  // namespace lathe::compress
