#include "random_module.h"
#include "support.h"
#include "support/errors.h"

#include <lathe/compress/cluster.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/compress/trace.h>
#include <lathe/core/evaluate.h>
#include <lathe/core/ops.h>
#include <lathe/optim/optimizer.h>
#include <lathe/runtime/plan.h>

#include <cmath>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

const Shape kImage{1, 8, 8, 1};

std::unique_ptr<QuantizationAware> attach(layers::Module& model, const QuantizeAwareOptions& options = {}) {
  const Tensor batch = images(32);
  return quantize_aware(model, kImage, std::span(&batch, 1), options);
}

/// The integer graph's outputs.
Tensor run(const graph::Graph& graph, const Tensor& x) {
  runtime::Plan plan(graph, {.batch = x.shape()[0], .level = runtime::Level::reference});
  std::ranges::copy(x.span<float>(), plan.input<float>().begin());
  plan.run();
  const graph::Value& output = graph.value(graph.outputs()[0]);
  return Tensor::from(std::span<const float>(plan.output<float>()), output.shape.with(0, x.shape()[0]));
}

/// The scale of the integers that the output is dequantized from; 0 when it is float.
float output_scale(const graph::Graph& graph) {
  for (const graph::Node& node : graph.nodes())
    if (node.output == graph.outputs()[0] && std::holds_alternative<graph::Dequantize>(node.op))
      return graph.value(node.inputs[0]).quantization->scale[0];
  return 0;
}

struct Parity {
  std::int64_t values = 0, different = 0;
  double worst = 0;  ///< codes
};

Parity compare(layers::Module& model, const graph::Graph& graph, const Tensor& x) {
  const Tensor predicted = evaluate(model, x), deployed = run(graph, x);
  const double scale = static_cast<double>(output_scale(graph));
  REQUIRE(scale > 0);
  Parity parity;
  for (std::size_t i = 0; i < predicted.span<float>().size(); ++i) {
    const double codes = std::abs(static_cast<double>(predicted.span<float>()[i]) -
                                  static_cast<double>(deployed.span<float>()[i])) /
                         scale;
    ++parity.values;
    parity.different += codes > 0.5;
    parity.worst = std::max(parity.worst, codes);
  }
  return parity;
}

/// Some steps towards small outputs, so that weights and ranges have moved.
void train(layers::Module& model, QuantizationAware& quantization, const Tensor& x, int steps) {
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.01f});
  model.train();
  for (int step = 0; step < steps; ++step) {
    quantization.update(step, steps);
    optimizer.clear_grads();
    const Tensor y = model(x);
    mean_squared_error(y, Tensor::full(y.shape(), 0.5f)).backward();
    optimizer.step();
  }
  quantization.settle();
}

}  // namespace

TEST_CASE("what a trained model computes in evaluation is what its integers compute") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  CHECK(quantization->left_out().empty());
  train(*model, *quantization, images(64), 30);
  const graph::Graph graph = export_quantized(*model, kImage);
  const Parity parity = compare(*model, graph, images(500));
  CHECK(parity.worst <= 1.01);
  CHECK(parity.different <= parity.values / 200);
}

TEST_CASE("random networks: evaluation predicts the integers' outputs") {
  std::int64_t values = 0, different = 0;
  double worst = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    const RandomModule net(seed);
    Tensor x = Tensor::empty(net.input.with(0, 16));
    Rng(seed, 1).fill_uniform(x.mutable_span<float>(), -1, 1);
    const auto quantization = quantize_aware(*net.model, net.input, std::span(&x, 1));
    train(*net.model, *quantization, x, 8);
    std::vector<FloatNode> left;
    const graph::Graph graph = export_quantized(*net.model, net.input, {}, &left);
    INFO(to_string(graph));
    CHECK(quantization->left_out().size() == left.size());
    if (output_scale(graph) == 0) continue;
    const Parity parity = compare(*net.model, graph, x);
    CHECK(parity.worst <= 1.01);
    values += parity.values, different += parity.different;
    worst = std::max(worst, parity.worst);
  }
  MESSAGE(values << " outputs, " << different << " of another code, at most " << worst << " codes apart");
  CHECK(different * 200 <= values);
}

TEST_CASE("quantizers are attached once, where something can be quantized, with batches that fit") {
  const auto model = small_model();
  const Tensor batch = images(4);
  const std::span one(&batch, 1);
  CHECK_ERROR(quantize_aware(*model, kImage, {}), "quantize_aware: there are no calibration batches");
  const Tensor wrong = Tensor::zeros({4, 8, 8, 3});
  CHECK_ERROR(quantize_aware(*model, kImage, std::span(&wrong, 1)),
              "calibration batches must be f32[1,8,8,1] with any number of images, given [4,8,8,3]");
  CHECK_ERROR(quantize_aware(*model, {1, 9, 9, 2}, std::span(&wrong, 1)), "calibration batches must be");
  CHECK_ERROR(quantize_aware(*model, {1, 8, 8, 3}, std::span(&wrong, 1)), "conv: conv2d:");
  const Tensor nan = Tensor::full({1, 8, 8, 1}, std::nanf(""));
  CHECK_ERROR(quantize_aware(*model, kImage, std::span(&nan, 1)), "values that are not finite");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.layers = {.patterns = {"cnov*"}}}),
              "quantize_aware: pattern 'cnov*' matches no layer; there are: conv (Conv2d)");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.layers = {.patterns = {"norm"}}}),
              "nothing is left to quantize");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.bits = 4}),
              "quantize_aware: bits is 4, expected 8 or 16");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.decay = 1.5f}), "decay is 1.5, expected 0 to 1");
  CHECK_ERROR(quantize_aware(*model, kImage, one, {.freeze_ranges_at = {.share = 2}}),
              "freeze_ranges_at.share is 2, expected 0 to 1");
  CHECK_ERROR(export_quantized(*model, kImage), "export_quantized: the model has no quantizers");
  const auto first = quantize_aware(*model, kImage, one);
  CHECK_ERROR(quantize_aware(*model, kImage, one), "quantize_aware: the model has quantizers already");
}

TEST_CASE("training without the callback is refused, evaluation is not") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  evaluate(*model, images());
  CHECK_ERROR((*model)(images()), "quantize_aware: training without the callback");
  quantization->update(0, 10);
  (*model)(images());
}

TEST_CASE("layers that were not selected stay float, with conversions at the borders") {
  const auto model = small_model();
  const auto quantization = attach(*model, {.layers = {.patterns = {"conv", "linear"}}});
  train(*model, *quantization, images(64), 10);
  const graph::Graph graph = export_quantized(*model, kImage);
  std::string kinds;
  for (const graph::Node& node : graph.nodes())
    kinds += fmt::format("{} {},", graph::name(node.op), to_string(graph.value(node.output).dtype));
  CHECK(kinds ==
        "quantize i8,conv2d i8,dequantize f32,conv2d f32,conv2d f32,quantize i8,reshape i8,linear "
        "i8,dequantize f32,");
  CHECK(compare(*model, graph, images(100)).worst <= 1.01);
}

TEST_CASE("an export as float has the quantized weights and no quantizer") {
  const auto model = small_model();
  const auto quantization = attach(*model);
  train(*model, *quantization, images(64), 10);
  const graph::Graph graph = export_float(*model, kImage);
  for (const graph::Node& node : graph.nodes()) CHECK(graph::deployable(node.op));
  CHECK(graph.nodes().size() == 5);
}
