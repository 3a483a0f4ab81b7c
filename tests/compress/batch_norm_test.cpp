#include <lathe/compress/batch_norm.h>
#include <lathe/optim/callbacks.h>
#include "support/errors.h"
#include "support/temporary_folder.h"

#include "support.h"

#include <cmath>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

layers::BatchNorm2d& norm_of(layers::Module& model) {
  for (const auto& [path, module] : model.modules())
    if (path == "norm") return dynamic_cast<layers::BatchNorm2d&>(*module);
  fail("test: no batch norm");
}

struct Moments {
  std::vector<double> mean, variance;
};

/// Means over batches of the mean and biased variance of what goes into the batch norm.
Moments by_definition(layers::Module& model, const datasets::DataLoader& loader, int most) {
  const NoGrad no_grad;
  Moments m{std::vector<double>(8), std::vector<double>(8)};
  layers::Module& conv = *model.modules()[1].second;
  auto batches = loader.epoch(0);
  int count = 0;
  while (count < most) {
    const auto batch = batches.next();
    if (!batch) break;
    ++count;
    const Tensor y = conv(batch->images);
    const auto values = y.span<float>();
    const double n = static_cast<double>(values.size() / 8);
    for (std::size_t c = 0; c < 8; ++c) {
      double sum = 0, squares = 0;
      for (std::size_t i = c; i < values.size(); i += 8) sum += static_cast<double>(values[i]);
      for (std::size_t i = c; i < values.size(); i += 8)
        squares += std::pow(static_cast<double>(values[i]) - sum / n, 2);
      m.mean[c] += sum / n;
      m.variance[c] += squares / n;
    }
  }
  for (std::size_t c = 0; c < 8; ++c) m.mean[c] /= count, m.variance[c] /= count;
  return m;
}

}  // namespace

TEST_CASE("statistics become the mean over batches, whatever they were") {
  const auto model = small_model();
  layers::BatchNorm2d& norm = norm_of(*model);
  std::ranges::fill(norm.moving_mean.mutable_span<float>(), 1e6f);
  std::ranges::fill(norm.moving_variance.mutable_span<float>(), 1e6f);
  const auto loader = spots(80);
  for (const int most : {1, 3, 100}) {
    CAPTURE(most);
    CHECK(re_estimate_batch_norm(*model, loader, {.batches = most}) == 1);
    const Moments expected = by_definition(*model, loader, most);
    for (std::size_t c = 0; c < 8; ++c) {
      CHECK(static_cast<double>(norm.moving_mean.span<float>()[c]) ==
            doctest::Approx(expected.mean[c]).epsilon(1e-4));
      CHECK(static_cast<double>(norm.moving_variance.span<float>()[c]) ==
            doctest::Approx(expected.variance[c]).epsilon(1e-4));
    }
  }
}

TEST_CASE("modes, momentum and parameters are the same afterwards, and dropout draws nothing") {
  const auto model = small_model();
  model->modules()[3].second->train(false);
  std::vector<bool> modes;
  for (const auto& [path, module] : model->modules()) modes.push_back(module->training());
  const Rng::State random = model->rngs()[0].second->state();
  const Tensor weight = value(*model, "conv.weight").clone();
  re_estimate_batch_norm(*model, spots(48));
  for (std::size_t i = 0; i < modes.size(); ++i) CHECK(model->modules()[i].second->training() == modes[i]);
  CHECK(norm_of(*model).momentum() == 0.9f);
  CHECK(model->rngs()[0].second->state() == random);
  CHECK(same_bytes(value(*model, "conv.weight"), weight));
}

TEST_CASE("momentum and modes survive an error on the way") {
  const auto model = small_model();
  struct Wide : Spots {
    using Spots::Spots;
    Shape image_shape() const override { return {8, 8, 2}; }
  };
  const datasets::DataLoader loader(std::make_shared<Wide>(32), {.batch = 16});
  CHECK_ERROR(re_estimate_batch_norm(*model, loader), "conv");
  CHECK(norm_of(*model).momentum() == 0.9f);
  CHECK(model->training());
}

TEST_CASE("a model without batch norm has nothing to estimate") {
  layers::Sequential model;
  model.add<layers::Flatten>("flatten");
  CHECK(re_estimate_batch_norm(model, spots(16)) == 0);
}

TEST_CASE("the callback re-estimates before evaluations and at the end, restored weights included") {
  const TemporaryFolder folder;
  const auto model = small_model();
  const auto train = spots(64), validation = spots(48, 2);
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::make_unique<BatchNormReEstimation>(train));
  trainer.add(std::make_unique<optim::BestCheckpoint>(folder / "best"));
  auto hooks = std::make_unique<Hooks>();
  int evaluations = 0;
  const auto check_norm = [&] {
    const Moments expected = by_definition(*model, train, 100);
    for (std::size_t c = 0; c < 8; ++c)
      CHECK(static_cast<double>(norm_of(*model).moving_mean.span<float>()[c]) ==
            doctest::Approx(expected.mean[c]).epsilon(1e-3));
  };
  hooks->at_eval_end = [&](optim::TrainState&) { check_norm(), ++evaluations; };
  trainer.add(std::move(hooks));
  trainer.fit(train, &validation);
  CHECK(evaluations == 2);
  check_norm();
}

TEST_CASE("fewer than one batch is refused") {
  const auto loader = spots(16);
  const auto model = small_model();
  CHECK_ERROR(re_estimate_batch_norm(*model, loader, {.batches = 0}), "0 batches, expected at least 1");
  CHECK_ERROR(BatchNormReEstimation(loader, {.batches = -1}), "-1 batches");
}
