// From training to the deployed plan on a whole test set: real MNIST when LATHE_DATA has it, generated digits
// otherwise.

#include "support/run_plan.h"

#include <doctest/doctest.h>

#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>
#include <lathe/graph/model_file.h>
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

/// One epoch: enough for weights and statistics that are not special.
std::unique_ptr<layers::Module> train(const layers::ModelInfo& info, const datasets::Named& data) {
  auto model = info.make();
  model->reset(Rng(1));
  optim::Adam optimizer(model->parameters(), {});
  optim::Trainer(*model, optimizer, {.epochs = 1})
      .fit(datasets::DataLoader(data.train, {.batch = 128, .shuffle = true}));
  model->eval();
  return model;
}

}  // namespace

TEST_CASE("deployed plans give what the module gives, at every level, for every test image") {
  const datasets::Named data = open_digits();
  const datasets::DataLoader loader(data.test, {.batch = 100});
  for (const layers::ModelInfo& info : layers::models()) {
    if (info.input != Shape{1, 28, 28, 1}) continue;  // for photos
    CAPTURE(std::string(info.name));
    const auto model = train(info, data);
    const graph::Graph graph = compress::export_float(*model, info.input);

    std::vector<float> expected;
    std::vector<Tensor> calibration;
    const NoGrad no_grad;
    for (auto epoch = loader.epoch(0); auto batch = epoch.next();) {
      const Tensor logits = (*model)(batch->images);
      expected.insert(expected.end(), logits.span<float>().begin(), logits.span<float>().end());
      if (calibration.size() < 5) calibration.push_back(batch->images);
    }
    const graph::Graph int8 = compress::quantize(graph, compress::calibrate(graph, calibration));
    const std::vector<float> int8_reference = run_plan(int8, loader, {.level = runtime::Level::reference});

    for (int i = 0; i <= static_cast<int>(runtime::best_level()); ++i) {
      const auto level = static_cast<runtime::Level>(i);
      CAPTURE(std::string(to_string(level)));
      const std::vector<float> logits = run_plan(graph, loader, {.level = level});
      REQUIRE(logits.size() == expected.size());
      float largest = 0;
      for (std::size_t k = 0; k < logits.size(); ++k)
        largest = std::max(largest, std::abs(logits[k] - expected[k]));
      CHECK(largest < 1e-4f);
      CHECK(run_plan(int8, loader, {.level = level}) == int8_reference);
    }
  }
}
