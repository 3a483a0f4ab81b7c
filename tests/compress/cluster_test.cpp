#include <lathe/compress/cluster.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/strip.h>
#include <lathe/core/ops.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/callbacks.h>
#include "support/errors.h"
#include "support/temporary_folder.h"

#include "support.h"

#include <cmath>
#include <set>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

std::int64_t unique(const Tensor& tensor) { return count_unique(tensor.span<float>()); }

Codebook& codebook_of(layers::Module& model, const std::string& name) {
  for (const ClusteredWeight& weight : clustered_weights(model))
    if (weight.name == name) return *weight.codebook;
  fail("test: {} has no codebook", name);
}

void train(layers::Module& model, std::unique_ptr<optim::Callback> callback, std::int64_t epochs = 2) {
  optim::Adam optimizer(model.parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(model, optimizer, {.epochs = epochs});
  if (callback) trainer.add(std::move(callback));
  trainer.fit(spots(64));
}

}  // namespace

TEST_CASE("clustering attaches trainable centroids; depthwise layers and batch norm are left alone") {
  const auto model = small_model();
  const auto clustering = cluster(*model, {.clusters = 8});
  std::set<std::string> names;
  for (const layers::NamedParameter& named : model->parameters()) names.insert(named.name);
  CHECK(names.contains("conv.weight.centroids"));
  CHECK(names.contains("linear.weight.centroids"));
  CHECK_FALSE(names.contains("depthwise.weight.centroids"));
  CHECK_FALSE(names.contains("norm.gamma.centroids"));
  CHECK(parameter(*model, "conv.weight.centroids").master().shape() == Shape{8});
  CHECK(unique(value(*model, "linear.weight")) == 8);
  CHECK(unique(value(*model, "depthwise.weight")) > 8);
}

TEST_CASE("each weight is its nearest centroid") {
  const auto model = small_model();
  const auto clustering = cluster(*model, {.clusters = 5});
  const Tensor master = parameter(*model, "linear.weight").master(),
               clustered = value(*model, "linear.weight");
  const std::vector<float> centroids = elements(codebook_of(*model, "linear.weight").centroids());
  for (std::size_t i = 0; i < 576; ++i)
    for (float c : centroids)
      CHECK(std::abs(clustered.span<float>()[i] - master.span<float>()[i]) <=
            std::abs(c - master.span<float>()[i]) * (1 + 1e-6f));
}

TEST_CASE("weights and centroids both train, membership follows") {
  const auto model = small_model();
  auto clustering = cluster(*model, {.clusters = 8});
  const std::vector<float> centroids = elements(codebook_of(*model, "linear.weight").centroids());
  const std::vector<float> weights = elements(parameter(*model, "linear.weight").master());
  train(*model, std::move(clustering));
  CHECK(elements(codebook_of(*model, "linear.weight").centroids()) != centroids);
  CHECK(elements(parameter(*model, "linear.weight").master()) != weights);
  CHECK(unique(value(*model, "linear.weight")) <= 8);
  strip(*model);
  CHECK(unique(parameter(*model, "linear.weight").master()) <= 8);
}

TEST_CASE("gradients: the sum or the average to a centroid, straight through to the weights") {
  for (const auto aggregation : {Aggregation::sum, Aggregation::average}) {
    layers::Linear linear({.in = 4, .out = 1, .bias = false});
    std::ranges::copy(std::vector<float>{1, 1.1f, 5, 1.2f},
                      linear.weight.master().mutable_span<float>().begin());
    const auto clustering = cluster(linear, {.clusters = 2, .aggregation = aggregation});
    linear(Tensor::from({1, 2, 3, 4}, {1, 4})).backward(Tensor::from({1}, {1, 1}));
    CHECK(elements(linear.weight.master().grad()) == std::vector<float>{1, 2, 3, 4});
    const Tensor grad = parameter(linear, "weight.centroids").master().grad();
    if (aggregation == Aggregation::sum)
      CHECK(elements(grad) == std::vector<float>{7, 3});
    else
      CHECK(elements(grad) == std::vector<float>{7.0f / 3, 3});
  }
}

TEST_CASE("batch norm keeps learning while weights are clustered") {
  const auto model = small_model();
  auto clustering = cluster(*model, {.clusters = 8});
  train(*model, std::move(clustering));
  for (const layers::NamedTensor& buffer : model->buffers())
    if (buffer.name == "norm.moving_mean") CHECK(zeros(buffer.tensor) == 0);
}

TEST_CASE("a codebook for each channel") {
  const auto model = small_model();
  const auto clustering = cluster(*model, {.clusters = 4, .per_channel = true});
  CHECK(codebook_of(*model, "conv.weight").centroids().shape() == Shape{8, 4});
  CHECK(codebook_of(*model, "pointwise.weight").centroids().shape() == Shape{12, 4});
  CHECK(codebook_of(*model, "linear.weight").centroids().shape() == Shape{4});  // one for a linear layer
  const Tensor conv = value(*model, "conv.weight");
  for (std::size_t c = 0; c < 8; ++c) CHECK(count_unique(conv.span<float>().subspan(c * 9, 9)) == 4);
  CHECK(unique(conv) == 32);
}

TEST_CASE("a weight that has no more elements than clusters is left out, with the reason") {
  const auto model = small_model();
  const auto clustering = cluster(*model, {.clusters = 72});
  REQUIRE(clustering->left_out().size() == 1);
  CHECK(clustering->left_out()[0].name == "conv.weight");
  CHECK(clustering->left_out()[0].reason == "has 72 elements, no more than 72 clusters");
  CHECK(clustered_weights(*model).size() == 2);
  const auto other = small_model();
  const auto channels = cluster(*other, {.clusters = 8, .per_channel = true});
  REQUIRE(channels->left_out().size() == 1);
  CHECK(channels->left_out()[0].name == "pointwise.weight");
  CHECK(channels->left_out()[0].reason == "has 8 elements in a channel, no more than 8 clusters");
}

TEST_CASE("sparsity is preserved: zeros stay zeros and one centroid is exactly zero") {
  for (const bool per_channel : {false, true}) {
    const auto model = small_model();
    const auto names = {"conv.weight", "pointwise.weight", "linear.weight"};
    {
      const auto pruning =
          prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.6f, .begin = 1, .end = 1}});
      pruning->update(0);
      strip(*model);
    }
    std::map<std::string, std::vector<float>> before;
    for (const char* name : names) before[name] = elements(value(*model, name));
    auto clustering = cluster(*model, {.clusters = 5, .per_channel = per_channel, .preserve_sparsity = true});
    optim::AdamW optimizer(model->parameters(), {.learning_rate = 0.01f, .weight_decay = 0.1f});
    optim::Trainer trainer(*model, optimizer, {.epochs = 3});
    trainer.add(std::move(clustering));
    trainer.fit(spots(64));
    for (const char* name : names) {
      CAPTURE(name);
      const Tensor after = value(*model, name);
      for (std::size_t i = 0; i < before[name].size(); ++i)
        if (before[name][i] == 0) CHECK(std::bit_cast<std::uint32_t>(after.span<float>()[i]) == 0);
      const std::span<const float> centroids = codebook_of(*model, name).centroids().span<float>();
      for (std::size_t first = 0; first < centroids.size(); first += 5) CHECK(centroids[first] == 0);
    }
    CHECK(unique(value(*model, "linear.weight")) <= 5);
  }
}

TEST_CASE("without it zeros take part in clustering like any weight") {
  const auto model = small_model();
  const auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.3f, .begin = 1, .end = 1}});
  pruning->update(0);
  const auto clustering = cluster(*model, {.clusters = 4, .init = CentroidInit::linear});
  CHECK(zeros(value(*model, "linear.weight")) == 0);
}

TEST_CASE("empty clusters are filled during training") {
  const auto model = small_model();
  auto clustering = cluster(*model, {.clusters = 8, .reseed_every = 2, .layers = {.patterns = {"linear"}}});
  const layers::Parameter centroids = parameter(*model, "linear.weight.centroids");
  for (std::size_t j = 3; j < 8; ++j)
    layers::Parameter(centroids).master().mutable_span<float>()[j] = 1000 + static_cast<float>(j);
  CHECK(unique(value(*model, "linear.weight")) == 3);
  clustering->update(1);
  (*model)(images());
  CHECK(unique(value(*model, "linear.weight")) == 3);
  clustering->update(2);
  (*model)(images());
  CHECK(unique(value(*model, "linear.weight")) == 8);
}

TEST_CASE("clustering that begins later passes weights through until then") {
  const auto model = small_model();
  auto clustering = cluster(*model, {.clusters = 4, .begin = 5, .layers = {.patterns = {"linear"}}});
  CHECK(same_bytes(value(*model, "linear.weight"), parameter(*model, "linear.weight").master()));
  std::vector<std::int64_t> counts;
  auto hooks = std::make_unique<Hooks>();
  hooks->at_step_end = [&](optim::TrainState&) { counts.push_back(unique(value(*model, "linear.weight"))); };
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::move(clustering));
  trainer.add(std::move(hooks));
  trainer.fit(spots(64));
  REQUIRE(counts.size() == 8);
  for (std::size_t step = 0; step < 8; ++step) CHECK((counts[step] <= 4) == (step >= 5));
}

TEST_CASE("a resumed training clusters to the same bytes") {
  const TemporaryFolder folder;
  const auto run = [&](std::int64_t stop_at) {
    const auto model = small_model();
    auto clustering =
        cluster(*model, {.clusters = 6, .preserve_sparsity = true, .begin = 3, .reseed_every = 2});
    optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
    std::atomic<bool> interrupt = false;
    optim::Trainer::Options training{.epochs = 3};
    if (stop_at >= 0) training.checkpoint = folder / "training", training.interrupt = &interrupt;
    optim::Trainer trainer(*model, optimizer, training);
    auto hooks = std::make_unique<Hooks>();
    hooks->at_step_end = [&](optim::TrainState& state) { interrupt = state.step == stop_at; };
    trainer.add(std::move(clustering));
    trainer.add(std::move(hooks));
    trainer.fit(spots(64));
    return layers::weights(*model);
  };
  const auto whole = run(-1);
  run(2);  // the step before clustering begins
  run(6);
  const auto resumed = run(1000);
  REQUIRE(whole.size() == resumed.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(whole[i].name);
    CHECK(same_bytes(whole[i].tensor, resumed[i].tensor));
  }
}

TEST_CASE("the values of a clustered model are taken up again") {
  const auto model = small_model();
  {
    const auto clustering = cluster(*model, {.clusters = 6, .layers = {.exclude = {"conv"}}});
    strip(*model);
  }
  const Tensor before = value(*model, "linear.weight").clone();
  const std::vector<LeftOut> left_out = from_unique(*model, {.most = 50});
  REQUIRE(left_out.size() == 1);
  CHECK(left_out[0].name == "conv.weight");
  CHECK(left_out[0].reason == "has 72 different values, more than 50");
  CHECK(codebook_of(*model, "linear.weight").centroids().shape() == Shape{6});
  CHECK(same_bytes(value(*model, "linear.weight"), before));
  train(*model, nullptr);
  CHECK(unique(value(*model, "linear.weight")) <= 6);
  CHECK_FALSE(same_bytes(value(*model, "linear.weight"), before));
}

TEST_CASE("values of each channel, short rows repeated, zero first") {
  const auto model = small_model();
  layers::Parameter conv = parameter(*model, "conv.weight");
  const std::span<float> weights = conv.master().mutable_span<float>();
  for (std::size_t i = 0; i < weights.size(); ++i)
    weights[i] = static_cast<float>(i / 9) + static_cast<float>(i % 3);
  for (std::size_t i = 9; i < 18; ++i) weights[i] = 7;
  const Tensor before = conv.master().clone();
  from_unique(*model, {.per_channel = true, .layers = {.patterns = {"conv"}}});
  const Tensor& centroids = codebook_of(*model, "conv.weight").centroids();
  CHECK(centroids.shape() == Shape{8, 4});
  const std::vector<float> table = elements(centroids);
  CHECK(std::vector<float>(table.begin(), table.begin() + 8) == std::vector<float>{0, 1, 2, 2, 0, 7, 7, 7});
  CHECK(same_bytes(value(*model, "conv.weight"), before));
}

TEST_CASE("a weight with one value is not a clustering") {
  const auto model = small_model();
  std::ranges::fill(parameter(*model, "conv.weight").master().mutable_span<float>(), 0.5f);
  const auto left_out = from_unique(*model, {.layers = {.patterns = {"conv"}}});
  REQUIRE(left_out.size() == 1);
  CHECK(left_out[0].reason == "has one value only");
}

TEST_CASE("options that do not fit are refused, and then nothing is attached") {
  const auto model = small_model();
  CHECK_ERROR(cluster(*model, {.clusters = 1}), "cluster: 1 clusters, expected 2 to 65536");
  CHECK_ERROR(cluster(*model, {.clusters = 2, .preserve_sparsity = true}),
              "expected 3 to 65536 with preserve_sparsity");
  CHECK_ERROR(cluster(*model, {.clusters = 70000}), "70000 clusters");
  CHECK_ERROR(cluster(*model, {.begin = -1}), "begin is -1");
  CHECK_ERROR(cluster(*model, {.reseed_every = -1}), "reseed_every is -1");
  CHECK_ERROR(cluster(*model, {.clusters = 1000}), "nothing is left to cluster: conv.weight has 72 elements");
  CHECK_ERROR(cluster(*model, {.layers = {.types = {"Lstm"}}}), "there is no layer of type 'Lstm'");
  CHECK_ERROR(from_unique(*model, {.most = 1}), "most is 1");
  parameter(*model, "conv.weight").master().mutable_span<float>()[5] = NAN;
  CHECK_ERROR(cluster(*model, {}), "cluster: conv.weight has a value that is not finite");
  CHECK(clustered_weights(*model).empty());
  const auto first = cluster(*model, {.layers = {.patterns = {"linear"}}});
  CHECK_ERROR(cluster(*model, {.layers = {.patterns = {"linear"}}}),
              "cluster: linear.weight has a transform of stage 'cluster' already");
}
