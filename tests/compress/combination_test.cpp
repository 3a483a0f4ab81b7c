#include <lathe/compress/batch_norm.h>
#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/callbacks.h>
#include "support/errors.h"
#include "support/temporary_folder.h"

#include "support.h"

#include <functional>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

/// A method and how it is attached; more than one is a combination.
struct Method {
  std::string name;
  std::function<std::unique_ptr<optim::Callback>(layers::Module&)> attach;
};

Method pruning(const std::string& name, PruneOptions options) {
  return {name, [=](layers::Module& model) { return prune(model, options); }};
}
Method clustering(const std::string& name, ClusterOptions options) {
  return {name, [=](layers::Module& model) { return cluster(model, options); }};
}

const SparsitySchedule kSchedule = PolynomialDecay{.final = 0.7f, .begin = 0, .end = 9, .frequency = 3};

std::vector<Method> prunings() {
  return {
      pruning("magnitude", {.schedule = kSchedule}),
      pruning("global", {.schedule = kSchedule, .global = true}),
      pruning("blocks", {.schedule = kSchedule, .structure = Block{.outputs = 2, .inputs = 2}}),
      pruning("2:4", {.structure = FineGrained{2, 4}}),
  };
}

std::vector<Method> clusterings() {
  return {
      clustering("tensor", {.clusters = 6, .preserve_sparsity = true, .reseed_every = 4}),
      clustering("channel", {.clusters = 4, .per_channel = true, .preserve_sparsity = true}),
      clustering("later", {.clusters = 6, .preserve_sparsity = true, .begin = 9}),
      clustering("average", {.clusters = 6, .aggregation = Aggregation::average, .preserve_sparsity = true}),
  };
}

/// Attaches in the order of `methods`, adds the callbacks to the trainer in the order of `callbacks`, trains
/// 16 steps.
std::unique_ptr<layers::Sequential> train(const std::vector<Method>& methods,
                                          const std::vector<std::size_t>& callbacks) {
  auto model = small_model();
  std::vector<std::unique_ptr<optim::Callback>> moving;
  for (const Method& method : methods) moving.push_back(method.attach(*model));
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f, .weight_decay = 1e-3f});
  const auto network = small_model(8);
  optim::Trainer trainer(
      *model, optimizer,
      {.epochs = 4, .loss = distillation(teacher(*network), {.hard_weight = 0.5f, .cache = true})});
  for (std::size_t i : callbacks) trainer.add(std::move(moving[i]));
  const auto loader = spots(64), validation = spots(32, 2);
  trainer.fit(loader, &validation);
  return model;
}

void check_equal(const std::vector<layers::NamedTensor>& a, const std::vector<layers::NamedTensor>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(same_bytes(a[i].tensor, b[i].tensor));
  }
}

const std::vector<std::string> kWeights = {"conv.weight", "pointwise.weight", "linear.weight"};

}  // namespace

TEST_CASE(
    "prune and cluster: any order of attaching and of callbacks gives the same bytes, and both survive") {
  for (const Method& first : prunings()) {
    for (const Method& second : clusterings()) {
      CAPTURE(first.name);
      CAPTURE(second.name);
      const auto model = train({first, second}, {0, 1});
      const auto weights = layers::weights(*model);
      check_equal(layers::weights(*train({second, first}, {0, 1})), weights);
      check_equal(layers::weights(*train({first, second}, {1, 0})), weights);

      // Zeros and values, counted on the stripped weights.
      std::map<std::string, std::vector<float>> masks;
      for (const PrunedWeight& weight : pruned_weights(*model))
        masks[weight.name] = elements(weight.mask->mask());
      const Tensor before = evaluate(*model, images());
      strip(*model);
      CHECK(same_bytes(evaluate(*model, images()), before));
      for (const std::string& name : kWeights) {
        CAPTURE(name);
        const std::vector<float> baked = elements(parameter(*model, name).master());
        for (std::size_t i = 0; i < baked.size(); ++i)
          if (masks[name][i] == 0) CHECK(std::bit_cast<std::uint32_t>(baked[i]) == 0);
        const bool channels = second.name == "channel" && name != "linear.weight";
        const std::size_t part = channels ? baked.size() / (name == "conv.weight" ? 8 : 12) : baked.size();
        for (std::size_t i = 0; i < baked.size(); i += part)
          CHECK(count_unique(std::span(baked).subspan(i, part)) <= (second.name == "channel" ? 4 : 6));
      }
    }
  }
}

TEST_CASE("the weights of the best epoch come back with all that passes keep beside them") {
  const Method quantizing = {"quantize-aware", [](layers::Module& model) {
                               const Tensor batch = images(8);
                               return quantize_aware(model, {1, 8, 8, 1}, std::span(&batch, 1));
                             }};
  const Method pruned = prunings()[0], clustered = clusterings()[0];
  for (const std::vector<Method>& methods : {std::vector<Method>{pruned},
                                             {clustered},
                                             {quantizing},
                                             {pruned, clustered},
                                             {pruned, clustered, quantizing}}) {
    CAPTURE(methods.size());
    CAPTURE(methods[0].name);
    const TemporaryFolder folder;
    const auto model = small_model();
    std::vector<std::unique_ptr<optim::Callback>> passes;
    for (const Method& method : methods) passes.push_back(method.attach(*model));
    optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
    optim::Trainer trainer(*model, optimizer, {.epochs = 5});
    // The fifth epoch is spoiled by a rate that is far too high.
    auto spoil = std::make_unique<Hooks>();
    spoil->at_step_begin = [](optim::TrainState& state) {
      if (state.step >= 16) state.optimizer.set_learning_rate(3);
    };
    trainer.add(std::move(spoil));
    auto best = std::make_unique<optim::BestCheckpoint>(folder / "best");
    const optim::BestCheckpoint& kept = *best;
    trainer.add(std::move(best));
    for (auto& pass : passes) trainer.add(std::move(pass));
    const auto loader = spots(64), validation = spots(48, 2);
    const optim::Trainer::Result result = trainer.fit(loader, &validation);
    CHECK(result.validation.accuracy < kept.best_accuracy());
    CHECK(optim::evaluate(*model, validation).accuracy == kept.best_accuracy());
    const Tensor before = evaluate(*model, images());
    strip(*model);
    CHECK(same_bytes(evaluate(*model, images()), before));
  }
}

TEST_CASE("an epoch before the clusters are placed is never the best one") {
  for (const std::int64_t begin : {4, 5, 0}) {
    CAPTURE(begin);
    const auto model = small_model();
    auto clustering = cluster(*model, {.clusters = 4, .begin = begin});
    optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
    optim::Trainer trainer(*model, optimizer, {.epochs = 3});  // of 4 steps
    auto hooks = std::make_unique<Hooks>();
    std::vector<bool> eligible;
    hooks->at_eval_end = [&](optim::TrainState& state) { eligible.push_back(state.eligible); };
    trainer.add(std::move(clustering));
    trainer.add(std::move(hooks));
    const auto train = spots(64), validation = spots(48, 2);
    trainer.fit(train, &validation);
    CHECK(eligible == std::vector<bool>{begin == 0, true, true});
  }
}

TEST_CASE("a model pruned, stripped, taken up, clustered and stripped has both") {
  const auto model = train({prunings()[0]}, {0});
  strip(*model);
  std::map<std::string, std::int64_t> pruned;
  for (const std::string& name : kWeights) pruned[name] = zeros(parameter(*model, name).master());
  CHECK(pruned["linear.weight"] == 576 - kept_count(576, 0.7f));
  CHECK(from_zeros(*model).empty());
  auto clustering = cluster(*model, {.clusters = 5, .preserve_sparsity = true});
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::move(clustering));
  trainer.fit(spots(64));
  strip(*model);
  // Taken up once more: the zeros and the values it has now.
  CHECK(from_zeros(*model).empty());
  CHECK(from_unique(*model).empty());
  optim::Adam again(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer(*model, again, {.epochs = 1}).fit(spots(64));
  strip(*model);
  for (const std::string& name : kWeights) {
    const Tensor weight = parameter(*model, name).master();
    CHECK(zeros(weight) >= pruned[name]);
    CHECK(count_unique(weight.span<float>()) <= 5);
  }
}

TEST_CASE("clustering does not need to know of a mask, and a mask not of clustering") {
  // Zeros stay zeros through a codebook with a zero even when the mask comes later than the codebook.
  const auto model = small_model();
  const auto clustering = cluster(*model, {.clusters = 5, .preserve_sparsity = true});
  const auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .end = 1}});
  pruning->update(0);
  clustering->update(0);
  (*model)(images());
  for (const PrunedWeight& weight : pruned_weights(*model)) {
    const Tensor now = value(*model, weight.name);
    const auto mask = weight.mask->mask().span<float>();
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (mask[i] == 0) CHECK(now.span<float>()[i] == 0);
  }
}
