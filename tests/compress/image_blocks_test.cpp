// The blocks that the large networks for photos are made of, trained a little and deployed in every variant.
#include "support/relative_error.h"
#include "support/run_plan.h"

#include <lathe/compress/calibrate.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/layers/image_models.h>
#include <lathe/optim/optimizer.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <cmath>

using namespace lathe;

namespace {

constexpr std::int64_t kBatch = 8;
const Shape kInput{1, 18, 18, 3};

Tensor noise(std::uint64_t seed) {
  Tensor x = Tensor::empty(kInput.with(0, kBatch));
  Rng(seed).fill_uniform(x.mutable_span<float>(), 0, 1);
  return x;
}

std::unique_ptr<layers::Sequential> make_model() {
  auto model = std::make_unique<layers::Sequential>();
  model->add<layers::Conv2d>("stem",
                             {.in = 3, .out = 8, .kernel = 7, .stride = 2, .padding = Padding::symmetric(3)});
  model->add<layers::MaxPool2d>("pool", {.kernel = 3, .stride = 1, .padding = Padding::symmetric(1)});
  model->append("projected", std::make_unique<layers::PreactivationBlock>(
                                 layers::PreactivationOptions{.in = 8, .width = 4, .out = 16}));
  model->append("thinned", std::make_unique<layers::PreactivationBlock>(
                               layers::PreactivationOptions{.in = 16, .width = 4, .out = 16, .stride = 2}));
  model->add<layers::BatchNorm2d>("post_bn", {.channels = 16, .activation = Activation::relu});
  auto branches = std::make_unique<layers::Branches>();
  const auto branch = [&](const char* name, int kernel_h, int kernel_w) {
    auto way = std::make_unique<layers::Sequential>();
    if (kernel_h == 0)
      way->add<layers::AvgPool2d>("pool", {.kernel = 3, .stride = 1, .padding = Padding::same()});
    else
      way->add<layers::Conv2d>("conv", {.in = 16,
                                        .out = 6,
                                        .kernel = kernel_h,
                                        .padding = Padding::same(),
                                        .bias = false,
                                        .kernel_w = kernel_w});
    if (kernel_h != 0)
      way->add<layers::BatchNorm2d>("bn", {.channels = 6, .activation = Activation::relu, .scale = false});
    branches->append(name, std::move(way));
  };
  branch("wide", 1, 7);
  branch("high", 7, 1);
  branch("pooled", 0, 0);
  model->append("branches", std::move(branches));
  model->add<layers::GlobalAvgPool>("mean");
  model->add<layers::Linear>("head", {.in = 28, .out = 5});
  model->reset(Rng(2));
  return model;
}

/// So that statistics and scales are not those of the start.
void train(layers::Module& model, compress::QuantizationAware* quantization, int steps = 20) {
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.01f});
  model.train();
  for (int step = 0; step < steps; ++step) {
    if (quantization != nullptr) quantization->update(step, steps);
    optimizer.clear_grads();
    const Tensor y = model(noise(static_cast<std::uint64_t>(step)));
    mean_squared_error(y, Tensor::full(y.shape(), 0.5f)).backward();
    optimizer.step();
  }
  if (quantization != nullptr) quantization->settle();
}

std::vector<float> evaluate(layers::Module& model, const Tensor& x) {
  const NoGrad no_grad;
  const layers::EvalMode evaluation(model);
  const Tensor y = model(x);
  return {y.span<float>().begin(), y.span<float>().end()};
}

}  // namespace

TEST_CASE("blocks of large networks compute the same in every variant and at every level") {
  const auto model = make_model();
  train(*model, nullptr);
  const Tensor x = noise(100);
  const std::vector<float> wanted = evaluate(*model, x);
  const graph::Graph real = compress::export_float(*model, kInput);
  const compress::Ranges ranges = compress::calibrate(real, std::span(&x, 1));
  std::vector<compress::FloatNode> left;
  const graph::Graph int8 = compress::quantize(real, ranges, {}, &left);
  CHECK(left.empty());
  const graph::Graph wide = compress::quantize(real, ranges, {.scheme = compress::Scheme::int16x8}, &left);
  CHECK(left.empty());
  const graph::Graph half = compress::to_half(real);
  const graph::Graph dynamic = compress::quantize_dynamic(real, {.min_elements = 64});
  const std::vector<float> codes = run_plan(int8, x, {.level = runtime::Level::reference});
  CHECK(relative_error(codes, wanted) < 0.05);
  for (int i = 0; i <= static_cast<int>(runtime::best_level()); ++i) {
    const auto level = static_cast<runtime::Level>(i);
    CAPTURE(std::string(to_string(level)));
    CHECK(relative_error(run_plan(real, x, {.level = level}), wanted) < 1e-5);
    CHECK(relative_error(run_plan(half, x, {.level = level}), wanted) < 2e-3);
    CHECK(relative_error(run_plan(dynamic, x, {.level = level}), wanted) < 0.05);
    CHECK(relative_error(run_plan(wide, x, {.level = level}), wanted) < 0.02);
    CHECK(run_plan(int8, x, {.level = level}) == codes);
  }
}

TEST_CASE("blocks of large networks predict their integers in quantization-aware training") {
  const auto model = make_model();
  const Tensor batch = noise(50);
  const auto quantization = compress::quantize_aware(*model, kInput, std::span(&batch, 1));
  CHECK(quantization->left_out().empty());
  train(*model, quantization.get());
  std::vector<compress::FloatNode> left;
  const graph::Graph graph = compress::export_quantized(*model, kInput, {}, &left);
  CHECK(left.empty());
  const Tensor x = noise(100);
  const std::vector<float> predicted = evaluate(*model, x),
                           deployed = run_plan(graph, x, {.level = runtime::best_level()});
  const float scale = graph.value(graph.nodes().back().inputs[0]).quantization->scale[0];
  double worst = 0;
  for (std::size_t i = 0; i < predicted.size(); ++i)
    worst = std::max(worst, static_cast<double>(std::abs(predicted[i] - deployed[i]) / scale));
  MESSAGE("at most ", worst, " codes apart");
  CHECK(worst <= 1.01);
}
