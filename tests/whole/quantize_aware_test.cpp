// Training with quantizers, then every test image through the module in evaluation and through the integer
// plan: real MNIST when LATHE_DATA has it, generated digits otherwise.

#include <doctest/doctest.h>

#include <lathe/compress/quantize_aware.h>
#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/models.h>
#include <lathe/optim/trainer.h>
#include <lathe/runtime/plan.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

using namespace lathe;

namespace {

datasets::Named open_digits() {
  const auto root = datasets::data_root();
  const bool real = std::filesystem::is_directory(root / "mnist");
  if (!real) MESSAGE("there is no MNIST in ", root.string(), ": generated digits are used");
  return datasets::open(real ? "mnist" : "synthetic-digits", root);
}

struct Counts {
  std::int64_t images = 0, right = 0, other_class = 0, other_code = 0;
  double worst = 0;  ///< codes
};

Counts compare(layers::Module& model, const graph::Graph& graph, const datasets::DataLoader& loader) {
  const NoGrad no_grad;
  const layers::EvalMode evaluation(model);
  const float scale = graph.value(graph.nodes().back().inputs[0]).quantization->scale[0];
  runtime::Plan plan(graph, {.batch = loader.options().batch});
  Counts counts;
  for (auto epoch = loader.epoch(0); auto batch = epoch.next();) {
    const Tensor predicted = model(batch->images);
    std::ranges::copy(batch->images.span<float>(), plan.input<float>().begin());
    plan.run();
    const auto classes = static_cast<std::size_t>(predicted.shape()[1]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(batch->size()); ++i) {
      const auto a = predicted.span<float>().subspan(i * classes, classes);
      const auto b = plan.output<float>().subspan(i * classes, classes);
      const auto best = std::ranges::max_element(b) - b.begin();
      ++counts.images;
      counts.right += best == batch->labels.span<std::int32_t>()[i];
      counts.other_class += best != std::ranges::max_element(a) - a.begin();
      for (std::size_t c = 0; c < classes; ++c) {
        const double codes = static_cast<double>(std::abs(a[c] - b[c]) / scale);
        counts.other_code += codes > 0.5;
        counts.worst = std::max(counts.worst, codes);
      }
    }
  }
  return counts;
}

}  // namespace

TEST_CASE(
    "what a model predicts after quantization-aware training is what its plan outputs, for every image") {
  const datasets::Named data = open_digits();
  const datasets::DataLoader train(data.train, {.batch = 128, .shuffle = true}),
      test(data.test, {.batch = 100});
  for (const std::string name : {"conv", "dscnn"}) {
    CAPTURE(name);
    const layers::ModelInfo& info = layers::find_model(name);
    const auto model = info.make();
    model->reset(Rng(0));
    const std::vector<Tensor> batches = {train.epoch(0).next()->images};
    auto quantization = compress::quantize_aware(*model, info.input, batches, {});
    optim::Adam optimizer(model->parameters(), {});
    optim::Trainer trainer(*model, optimizer, {.epochs = 1});
    trainer.add(std::move(quantization));
    trainer.fit(train);
    const Counts counts = compare(*model, compress::export_quantized(*model, info.input), test);
    MESSAGE(name << ": " << counts.right << " of " << counts.images << " right, " << counts.other_class
                 << " of another class, " << counts.other_code << " outputs of another code, at most "
                 << counts.worst << " apart");
    CHECK(counts.other_class == 0);
    CHECK(counts.worst <= 1.01);
  }
}
