#include <lathe/base/io.h>
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

/// Masks at the third step and every third from there.
PruneOptions every_third(float sparsity = 0.5f) {
  return {.schedule = ConstantSparsity{.sparsity = sparsity, .begin = 0, .frequency = 3}};
}

const PruneMask& mask_of(layers::Module& model, const std::string& name) {
  for (const PrunedWeight& weight : pruned_weights(model))
    if (weight.name == name) return *weight.mask;
  fail("test: {} has no mask", name);
}

std::unique_ptr<optim::Optimizer> make_optimizer(const std::string& kind, const layers::Module& model) {
  if (kind == "sgd")
    return std::make_unique<optim::Sgd>(
        model.parameters(),
        optim::Sgd::Options{
            .learning_rate = 0.05f, .momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f});
  if (kind == "adamw")
    return std::make_unique<optim::AdamW>(model.parameters(),
                                          optim::Adam::Options{.learning_rate = 0.01f, .weight_decay = 0.1f});
  return std::make_unique<optim::Adam>(model.parameters(), optim::Adam::Options{.learning_rate = 0.01f});
}

}  // namespace

TEST_CASE("pruning attaches a mask and a threshold to the convolutions and linear layers") {
  const auto model = small_model();
  const auto pruning = prune(*model, {});
  std::set<std::string> names;
  for (const layers::NamedTensor& buffer : model->buffers()) names.insert(buffer.name);
  for (const char* name : {"conv.weight", "pointwise.weight", "linear.weight"}) {
    CHECK(names.contains(std::string(name) + ".mask"));
    CHECK(names.contains(std::string(name) + ".threshold"));
  }
  CHECK_FALSE(names.contains("depthwise.weight.mask"));
  CHECK(pruning->weights().size() == 3);
}

TEST_CASE("each step: new mask if it is time, then zeros in the weight, then the update") {
  const auto model = small_model();
  auto pruning = prune(*model, every_third());
  optim::Sgd optimizer(model->parameters(), {.learning_rate = 0.1f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  const layers::Parameter weight = parameter(*model, "linear.weight");
  const std::int64_t n = weight.master().size();
  std::vector<std::int64_t> masked, zero_in_master;
  auto before = std::make_unique<Hooks>();
  before->at_step_begin = [&](optim::TrainState&) {
    masked.push_back(zeros(mask_of(*model, "linear.weight").mask()));
    zero_in_master.push_back(zeros(weight.master()));
  };
  auto after = std::make_unique<Hooks>();
  std::int64_t drifted = 0;
  after->at_step_end = [&](optim::TrainState& state) {
    CHECK(zeros(value(*model, "linear.weight")) == (state.step >= 2 ? n / 2 : 0));
    drifted += zeros(weight.master()) < n / 2 ? 1 : 0;
  };
  trainer.add(std::move(pruning));
  trainer.add(std::move(before));  // begins after the pruning
  trainer.add(std::move(after));
  trainer.fit(spots(64));  // 4 steps an epoch
  // The first mask comes with the third step, when 0-based steps 0 and 1 are done.
  CHECK(masked == std::vector<std::int64_t>{0, 0, n / 2, n / 2, n / 2, n / 2, n / 2, n / 2});
  CHECK(zero_in_master == masked);
  CHECK(drifted > 2);  // the optimiser moves masked weights, the gradient is not masked
  CHECK(zeros(weight.master()) == n / 2);
}

TEST_CASE("masked weights are exactly zero whatever the optimiser does with them") {
  for (const char* kind : {"sgd", "adam", "adamw"}) {
    CAPTURE(kind);
    const auto model = small_model();
    auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.8f, .begin = 1, .end = 1}});
    const auto optimizer = make_optimizer(kind, *model);
    optim::Trainer trainer(*model, *optimizer, {.epochs = 3});
    auto hooks = std::make_unique<Hooks>();
    hooks->at_step_end = [&](optim::TrainState&) {
      for (const PrunedWeight& weight : pruned_weights(*model)) {
        const NoGrad no_grad;
        const Tensor value = weight.parameter.value();
        const auto mask = weight.mask->mask().span<float>();
        for (std::size_t i = 0; i < mask.size(); ++i)
          if (mask[i] == 0) CHECK(std::bit_cast<std::uint32_t>(value.span<float>()[i]) == 0);
      }
    };
    trainer.add(std::move(pruning));
    trainer.add(std::move(hooks));
    trainer.fit(spots(64));
    // Per tensor, and at the end in the masters themselves.
    for (const PrunedWeight& weight : pruned_weights(*model)) {
      const std::int64_t n = weight.parameter.master().size();
      CHECK(zeros(weight.parameter.master()) == n - kept_count(n, 0.8f));
    }
  }
}

TEST_CASE("a weight can come back when the mask is made anew") {
  const auto model = small_model();
  const auto pruning =
      prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .frequency = 1},
                     .layers = {.patterns = {"linear"}}});
  layers::Parameter weight = parameter(*model, "linear.weight");
  pruning->update(0);
  const std::vector<float> first = elements(mask_of(*model, "linear.weight").mask());
  const auto pruned = static_cast<std::size_t>(std::ranges::find(first, 0.0f) - first.begin());
  weight.master().mutable_span<float>()[pruned] = 100;  // an optimiser's doing
  pruning->update(1);
  CHECK(mask_of(*model, "linear.weight").mask().span<float>()[pruned] == 1);
  const Tensor regrown = value(*model, "linear.weight");
  CHECK(regrown.span<float>()[pruned] == 100);
}

TEST_CASE("after the end the mask stays for good") {
  const auto model = small_model();
  const auto pruning =
      prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .end = 2, .frequency = 1}});
  pruning->update(1);
  const Tensor mask = mask_of(*model, "linear.weight").mask().clone();
  Rng(99).fill_uniform(parameter(*model, "linear.weight").master().mutable_span<float>(), -1, 1);
  pruning->update(2);
  CHECK(same_bytes(mask, mask_of(*model, "linear.weight").mask()));
}

TEST_CASE("training without the callback is an error, evaluation is not") {
  const auto model = small_model();
  const auto pruning = prune(*model, {});
  CHECK_ERROR((*model)(images()), "prune: training without the callback");
  CHECK_ERROR((*model)(images()), "conv: ");  // names the layer
  evaluate(*model, images());
  pruning->update(0);
  (*model)(images());
}

TEST_CASE("a model in evaluation mode stays so when masks are attached") {
  const auto model = small_model();
  model->eval();
  const Tensor before = evaluate(*model, images());
  const auto pruning = prune(*model, {});
  CHECK(same_bytes((*model)(images()), before));
}

TEST_CASE("a step by hand does what the trainer does") {
  const auto by_hand = small_model(), by_trainer = small_model();
  const auto loader = spots(64);
  {
    const auto pruning = prune(*by_hand, every_third(0.7f));
    optim::Adam optimizer(by_hand->parameters(), {.learning_rate = 0.01f});
    std::int64_t step = 0;
    for (int epoch = 0; epoch < 2; ++epoch) {
      auto batches = loader.epoch(epoch);
      while (auto batch = batches.next()) {
        pruning->update(step++);
        optimizer.clear_grads();
        cross_entropy((*by_hand)(batch->images), batch->labels).backward();
        optimizer.step();
      }
      pruning->zero_masked();
    }
  }
  auto pruning = prune(*by_trainer, every_third(0.7f));
  optim::Adam optimizer(by_trainer->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*by_trainer, optimizer, {.epochs = 2});
  trainer.add(std::move(pruning));
  trainer.fit(loader);
  CHECK(same_bytes(value(*by_hand, "linear.weight"), value(*by_trainer, "linear.weight")));
  CHECK(same_bytes(value(*by_hand, "conv.weight"), value(*by_trainer, "conv.weight")));
}

TEST_CASE("one threshold for all weights: the sparsity is right in all, not in each") {
  const auto model = small_model();
  for (float& w : parameter(*model, "conv.weight").master().mutable_span<float>()) w *= 100;
  const auto pruning =
      prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.6f, .begin = 1, .end = 1}, .global = true});
  pruning->update(0);
  std::int64_t n = 0, pruned = 0;
  for (const PrunedWeight& weight : pruning->weights()) {
    n += weight.parameter.master().size();
    pruned += zeros(weight.mask->mask());
  }
  CHECK(pruned == n - kept_count(n, 0.6f));
  CHECK(mask_of(*model, "conv.weight").sparsity() == 0);
  CHECK(mask_of(*model, "linear.weight").sparsity() > 0.6);
  CHECK(mask_of(*model, "linear.weight").threshold() == mask_of(*model, "conv.weight").threshold());
}

TEST_CASE("blocks of a trained convolution go together") {
  const auto model = small_model();
  const auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .end = 1},
                                      .structure = Block{.outputs = 1, .inputs = 8},
                                      .layers = {.patterns = {"pointwise"}}});
  pruning->update(0);
  const std::vector<float> mask = elements(mask_of(*model, "pointwise.weight").mask());
  CHECK(std::ranges::count(mask, 0.0f) == 6 * 8);
  for (std::size_t i = 0; i < mask.size(); ++i) CHECK(mask[i] == mask[i / 8 * 8]);
}

TEST_CASE("a fine-grained mask is made once, at the first step") {
  const auto model = small_model();
  const auto pruning = prune(*model, {.structure = FineGrained{2, 4}});
  CHECK(pruning->final_sparsity_reached(0));
  pruning->update(0);
  const Tensor first = mask_of(*model, "linear.weight").mask().clone();
  CHECK(mask_of(*model, "linear.weight").sparsity() == 0.5);
  CHECK(mask_of(*model, "conv.weight").sparsity() == 0);  // one input channel
  Rng(99).fill_uniform(parameter(*model, "linear.weight").master().mutable_span<float>(), -1, 1);
  for (std::int64_t step = 1; step < 300; step += 50) pruning->update(step);
  CHECK(same_bytes(first, mask_of(*model, "linear.weight").mask()));
  const Tensor linear = value(*model, "linear.weight");
  CHECK(is_fine_grained(linear.span<float>(), linear.shape(), {2, 4}));
}

TEST_CASE("zeros are taken up again and stay") {
  const auto model = small_model();
  std::int64_t pruned = 0;
  {
    const auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.7f, .begin = 1, .end = 1},
                                        .layers = {.patterns = {"linear"}}});
    pruning->update(0);
    pruned = zeros(value(*model, "linear.weight"));
    strip(*model);
  }
  const std::vector<LeftOut> left_out = from_zeros(*model);
  REQUIRE(left_out.size() == 2);
  CHECK(left_out[0].name == "conv.weight");
  CHECK(left_out[0].reason == "has no zeros");
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer(*model, optimizer, {.epochs = 2}).fit(spots(64));  // no callback
  CHECK(zeros(value(*model, "linear.weight")) == pruned);
  strip(*model);
  CHECK(zeros(parameter(*model, "linear.weight").master()) == pruned);
}

TEST_CASE("frozen masks need no callback and do not change") {
  const auto model = small_model();
  const auto pruning =
      prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .frequency = 1}});
  pruning->update(0);
  freeze_masks(*model);
  const Tensor mask = mask_of(*model, "linear.weight").mask().clone();
  Rng(99).fill_uniform(parameter(*model, "linear.weight").master().mutable_span<float>(), -1, 1);
  pruning->update(1);
  CHECK(same_bytes(mask, mask_of(*model, "linear.weight").mask()));
}

TEST_CASE("an epoch before the final sparsity is never the best one") {
  const TemporaryFolder folder;
  const auto model = small_model();
  // 4 steps an epoch; the last mask comes with step 10, in the third epoch.
  auto pruning =
      prune(*model, {.schedule = PolynomialDecay{.final = 0.9f, .begin = 0, .end = 10, .frequency = 2}});
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 4});
  auto hooks = std::make_unique<Hooks>();
  std::vector<bool> eligible;
  hooks->at_eval_end = [&](optim::TrainState& state) { eligible.push_back(state.eligible); };
  trainer.add(std::make_unique<optim::BestCheckpoint>(folder / "best.safetensors"));
  trainer.add(std::move(pruning));
  trainer.add(std::move(hooks));
  const auto train = spots(64), validation = spots(48, 2);
  trainer.fit(train, &validation);
  CHECK(eligible == std::vector<bool>{false, false, true, true});
  // What was kept is sparse, in the file as well.
  const std::int64_t n = parameter(*model, "linear.weight").master().size();
  CHECK(zeros(value(*model, "linear.weight")) >= n - kept_count(n, 0.9f));
  for (const layers::NamedTensor& tensor : layers::load_safetensors(folder / "best.safetensors").tensors)
    if (tensor.name == "linear.weight") CHECK(zeros(tensor.tensor) >= n - kept_count(n, 0.9f));
}

TEST_CASE("a resumed training prunes to the same bytes") {
  for (const bool fine_grained : {false, true}) {
    CAPTURE(fine_grained);
    const TemporaryFolder folder;
    const auto train = [&](std::int64_t epochs_before) {
      // A fresh process each time: everything is built anew and read from the checkpoint.
      const auto model = small_model();
      PruneOptions options = every_third(0.6f);
      if (fine_grained) options.structure = FineGrained{2, 4};
      auto pruning = prune(*model, options);
      optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
      std::atomic<bool> interrupt = false;
      optim::Trainer::Options training{.epochs = 3};
      if (epochs_before >= 0) training.checkpoint = folder / "training", training.interrupt = &interrupt;
      optim::Trainer trainer(*model, optimizer, training);
      auto hooks = std::make_unique<Hooks>();
      hooks->at_step_end = [&](optim::TrainState& state) { interrupt = state.step == epochs_before; };
      trainer.add(std::move(pruning));
      trainer.add(std::move(hooks));
      trainer.add(std::make_unique<SparsityLog>(folder / "log.csv"));
      trainer.fit(spots(64));
      return layers::weights(*model);
    };
    const auto whole = train(-1);
    train(4);  // stops within the second epoch
    const auto resumed = train(1000);
    REQUIRE(whole.size() == resumed.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      CAPTURE(whole[i].name);
      CHECK(same_bytes(whole[i].tensor, resumed[i].tensor));
    }
  }
}

TEST_CASE("the log has a line for each weight and epoch") {
  const TemporaryFolder folder;
  const auto model = small_model();
  auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.75f, .begin = 5, .end = 5},
                                .layers = {.patterns = {"linear", "conv"}}});
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::move(pruning));
  trainer.add(std::make_unique<SparsityLog>(folder / "sparsity.csv"));
  trainer.fit(spots(64));
  const auto bytes = read_file(folder / "sparsity.csv");
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const float threshold = mask_of(*model, "linear.weight").threshold();
  CHECK(threshold > 0);
  CHECK(text.find("epoch,step,weight,elements,zeros,sparsity,threshold\n"
                  "1,4,conv.weight,72,0,0.000000,\n"
                  "1,4,linear.weight,576,0,0.000000,\n"
                  "2,8,conv.weight,72,54,0.750000,") == 0);
  CHECK(text.find(fmt::format("2,8,linear.weight,576,432,0.750000,{:.9g}\n", threshold)) !=
        std::string::npos);
}

TEST_CASE("options that do not fit are refused, and then nothing is attached") {
  const auto model = small_model();
  CHECK_ERROR(prune(*model, {.schedule = ConstantSparsity{.sparsity = 1}}), "sparsity is 1");
  CHECK_ERROR(prune(*model, {.structure = FineGrained{4, 4}}), "a group of 4 with 4 zeros");
  CHECK_ERROR(prune(*model, {.structure = FineGrained{}, .global = true}), "global does not go with it");
  CHECK_ERROR(prune(*model, {.layers = {.patterns = {"nothing"}}}),
              "prune: pattern 'nothing' matches no layer");
  CHECK(pruned_weights(*model).empty());
  const auto first = prune(*model, {.layers = {.patterns = {"linear"}}});
  CHECK_ERROR(prune(*model, {}), "prune: linear.weight has a transform of stage 'prune' already");
  CHECK_ERROR(from_zeros(*model), "from_zeros: linear.weight has a transform of stage 'prune' already");
  CHECK(pruned_weights(*model).size() == 1);
  // Another part of the model can have its own schedule.
  const auto second = prune(*model, {.layers = {.exclude = {"linear"}}});
  CHECK(pruned_weights(*model).size() == 3);
}
