#include <lathe/core/ops.h>
#include <lathe/core/precision.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/trainer.h>
#include <support/errors.h>
#include <support/temporary_folder.h>

#include "tiny.h"

#include <cmath>

using namespace lathe;
using namespace lathe::optim;

namespace {

/// Writes down what is called, with its name in front.
class Recorder : public Callback {
 public:
  Recorder(std::string name, std::vector<std::string>& log) : name_(std::move(name)), log_(log) {}
  void fit_begin(TrainState& s) override { write("fit_begin", s); }
  void fit_end(TrainState& s) override { write("fit_end", s); }
  void epoch_begin(TrainState& s) override { write("epoch_begin", s); }
  void epoch_end(TrainState& s) override { write("epoch_end", s); }
  void step_begin(TrainState& s) override { write("step_begin", s); }
  void step_end(TrainState& s) override { write("step_end", s); }
  void eval_begin(TrainState& s) override { write("eval_begin", s); }
  void eval_end(TrainState& s) override { write("eval_end", s); }

 private:
  void write(const char* hook, const TrainState& s) {
    log_.push_back(fmt::format("{} {} {}.{}={}", name_, hook, s.epoch, s.step_in_epoch, s.step));
  }
  std::string name_;
  std::vector<std::string>& log_;
};

/// Those that this processor has.
std::vector<Precision> precisions() {
  if (is_supported(Precision::bf16)) return {Precision::f32, Precision::bf16};
  return {Precision::f32};
}

/// Weights after so many steps of the Trainer.
std::vector<layers::NamedTensor> trained(Trainer::Options options, std::int64_t images = 64) {
  const auto model = tiny_model();
  Adam adam(model->parameters(), {.learning_rate = 0.01f});
  Trainer(*model, adam, std::move(options)).fit(spots(images));
  return layers::weights(*model);
}

}  // namespace

TEST_CASE("training lowers the loss and learns the task") {
  for (const Precision precision : precisions()) {
    CAPTURE(to_string(precision));
    const auto model = tiny_model();
    Adam adam(model->parameters(), {.learning_rate = 0.01f});
    const auto train = spots(320), validation = spots(160, 2);
    const double loss_before = evaluate(*model, validation).loss;
    Trainer trainer(*model, adam, {.epochs = 6, .precision = precision});
    const Trainer::Result result = trainer.fit(train, &validation);
    CHECK(result.steps == 120);
    CHECK(!result.interrupted);
    CHECK(result.stop_reason.empty());
    CHECK(result.train.samples == 320);
    CHECK(result.validation.samples == 160);
    CHECK(result.validation.loss < 0.5 * loss_before);
    CHECK(result.validation.accuracy > 0.9);
    CHECK(result.seconds > 0);
    CHECK(result.validation.loss == evaluate(*model, validation).loss);
    CHECK(model->training());
  }
}

TEST_CASE("a loop written by hand does the same as the trainer") {
  for (const Precision precision : precisions()) {
    CAPTURE(to_string(precision));
    const auto model = tiny_model();
    Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
    const auto loader = spots(64);
    for (int epoch = 0; epoch < 2; ++epoch) {
      auto batches = loader.epoch(epoch);
      while (auto batch = batches.next()) {
        optimizer.clear_grads();
        const auto forward = [&] {
          const PrecisionScope scope(precision);
          return (*model)(batch->images);
        };
        cross_entropy(forward(), batch->labels).backward();
        optimizer.step();
      }
    }
    CHECK(same_bytes(layers::weights(*model), trained({.epochs = 2, .precision = precision})));
    CHECK(same_bytes(layers::weights(*model), trained({.epochs = 2})) == (precision == Precision::f32));
  }
}

TEST_CASE("two runs with the same seeds give the same bytes") {
  CHECK(same_bytes(trained({.epochs = 3}), trained({.epochs = 3})));
}

TEST_CASE("callbacks begin in the order given and end in the reverse order") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  const auto train = spots(32), validation = spots(16, 2);
  Trainer trainer(*model, sgd, {.epochs = 2});
  std::vector<std::string> log;
  trainer.add(std::make_unique<Recorder>("a", log));
  trainer.add(std::make_unique<Recorder>("b", log));
  trainer.fit(train, &validation);
  std::vector<std::string> expected;
  const auto begin = [&](const std::string& what) {
    expected.insert(expected.end(), {"a " + what, "b " + what});
  };
  const auto end = [&](const std::string& what) {
    expected.insert(expected.end(), {"b " + what, "a " + what});
  };
  begin("fit_begin 0.0=0");
  for (int epoch = 0; epoch < 2; ++epoch) {
    begin(fmt::format("epoch_begin {}.0={}", epoch, 2 * epoch));
    for (int step = 0; step < 2; ++step) {
      begin(fmt::format("step_begin {}.{}={}", epoch, step, 2 * epoch + step));
      end(fmt::format("step_end {}.{}={}", epoch, step, 2 * epoch + step));
    }
    begin(fmt::format("eval_begin {}.2={}", epoch, 2 * epoch + 2));
    end(fmt::format("eval_end {}.2={}", epoch, 2 * epoch + 2));
    end(fmt::format("epoch_end {}.2={}", epoch, 2 * epoch + 2));
  }
  end("fit_end 2.0=4");
  CHECK(log == expected);
}

TEST_CASE("callbacks see the metrics of the epoch so far") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  Trainer trainer(*model, sgd, {.epochs = 2});
  double sum = 0;
  trainer.add(at_step_end([&](TrainState& state) {
    sum = (state.step_in_epoch == 0 ? 0 : sum) + state.step_loss * 16;
    const std::int64_t samples = 16 * (state.step_in_epoch + 1);
    CHECK(state.train.samples == samples);
    CHECK(state.train.loss == doctest::Approx(sum / static_cast<double>(samples)));
    CHECK(state.images_per_second > 0);
    CHECK(state.steps_per_epoch == 3);
    CHECK(!state.has_validation);
  }));
  trainer.fit(spots(48));
}

TEST_CASE("a callback that asks to stop ends the epoch after its step, with an evaluation") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  const auto train = spots(160), validation = spots(16, 2);
  Trainer trainer(*model, sgd, {.epochs = 5});
  std::vector<std::string> log;
  trainer.add(std::make_unique<Recorder>("a", log));
  trainer.add(at_step_end([](TrainState& state) {
    if (state.step != 12) return;
    state.stop = true;
    state.stop_reason = "enough";
  }));
  const Trainer::Result result = trainer.fit(train, &validation);
  CHECK(result.steps == 13);
  CHECK(result.stop_reason == "enough");
  CHECK(result.train.samples == 48);
  REQUIRE(log.size() > 5);
  CHECK(std::vector(log.end() - 5, log.end()) ==
        std::vector<std::string>{"a step_end 1.2=12", "a eval_begin 1.3=13", "a eval_end 1.3=13",
                                 "a epoch_end 1.3=13", "a fit_end 2.0=13"});
}

TEST_CASE("the schedule sets the learning rate of every step; without one the optimiser's stays") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {.learning_rate = 0.125f});
  std::vector<float> rates;
  const auto note = [&](TrainState& state) { rates.push_back(state.optimizer.learning_rate()); };
  Trainer with(*model, sgd,
               {.epochs = 2, .schedule = StepSchedule{.learning_rate = 1, .every = 3, .gamma = 0.5f}});
  with.add(at_step_end(note));
  with.fit(spots(32));
  CHECK(rates == std::vector<float>{1, 1, 1, 0.5f});

  rates.clear();
  sgd.set_learning_rate(0.125f);
  Trainer without(*model, sgd, {});
  without.add(at_step_end(note));
  without.fit(spots(32));
  CHECK(rates == std::vector<float>{0.125f, 0.125f});
}

TEST_CASE("clipping bounds how far a step goes") {
  const auto distance = [](float max_grad_norm) {
    const auto model = tiny_model();
    std::vector<Tensor> before;
    for (const auto& named : model->parameters()) before.push_back(named.parameter.master().clone());
    Sgd sgd(model->parameters(), {.learning_rate = 1});
    Trainer(*model, sgd, {.max_grad_norm = max_grad_norm}).fit(spots(16));
    double sum = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const Tensor after = model->parameters()[i].parameter.master();
      for (std::int64_t k = 0; k < after.size(); ++k)
        sum += std::pow(after.span<float>()[k] - before[i].span<float>()[k], 2);
    }
    return std::sqrt(sum);
  };
  CHECK(distance(0) > 0.1);
  CHECK(distance(0.01f) == doctest::Approx(0.01).epsilon(1e-3));
  CHECK(distance(1e6f) == distance(0));
}

TEST_CASE("parts are trained in their modes, and evaluated in eval mode") {
  struct Modes : Callback {
    layers::Module& model;
    std::vector<bool> training;
    explicit Modes(layers::Module& m) : model(m) {}
    void fit_begin(TrainState&) override { model.modules()[2].second->eval(); }  // freeze the batch norm
    void step_begin(TrainState&) override {
      training.push_back(model.training());
      training.push_back(model.modules()[2].second->training());
    }
  };
  const auto model = tiny_model();
  model->eval();
  Sgd sgd(model->parameters(), {});
  const auto train = spots(32), validation = spots(16, 2);
  Trainer trainer(*model, sgd, {.epochs = 2});
  const Modes& modes = trainer.add(std::make_unique<Modes>(*model));
  const Tensor mean = model->buffers()[0].tensor.clone();
  trainer.fit(train, &validation);
  CHECK(modes.training == std::vector<bool>{true, false, true, false, true, false, true, false});
  CHECK(same_bytes(model->buffers()[0].tensor, mean));
}

TEST_CASE("a custom loss is trained and evaluated") {
  const auto model = tiny_model();
  Adam adam(model->parameters(), {});
  const auto train = spots(32), validation = spots(16, 2);
  const Trainer::Options options{.loss = [](const Tensor& logits, const datasets::Batch& batch) {
    return scale(cross_entropy(logits, batch.labels), 100);
  }};
  const auto result = Trainer(*model, adam, options).fit(train, &validation);
  CHECK(result.train.loss > 20);
  CHECK(result.validation.loss > 20);
}

TEST_CASE("a loss that is not finite stops training and names step, learning rate and parameter") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {.learning_rate = 0.25f});
  Trainer trainer(*model, sgd, {.epochs = 2});
  trainer.add(at_step_end([](TrainState& state) {
    if (state.step != 4) return;
    layers::Parameter gamma = state.optimizer.parameters()[1].parameter;
    gamma.master().mutable_span<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  }));
  CHECK_ERROR(
      trainer.fit(spots(64)),
      "the loss is nan at step 5 (epoch 2), learning rate 0.25: the first parameter that is not finite is "
      "'norm.gamma'");
}

TEST_CASE("images that are not finite are told from parameters that are not") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  const auto data = std::make_shared<Spots>(32);
  data->broken = 20;
  const datasets::DataLoader loader(data, {.batch = 16});
  CHECK_ERROR(Trainer(*model, sgd, {}).fit(loader),
              "at step 1 (epoch 1), learning rate 0.01: the images of the batch");
}

TEST_CASE("gradients that are not finite are named when the loss still is") {
  layers::Sequential model;
  model.add<layers::Flatten>("flatten");
  model.add<layers::Linear>("linear", {.in = 36, .out = 3});
  Sgd sgd(model.parameters(), {});
  const Loss huge = [](const Tensor& logits, const datasets::Batch& batch) {
    return scale(scale(cross_entropy(scale(logits, 1e10f), batch.labels), 1e15f), 1e15f);
  };
  CHECK_ERROR(Trainer(model, sgd, {.max_grad_norm = 1, .loss = huge}).fit(spots(32)),
              "the norm of the gradients is nan at step 0 (epoch 1), learning rate 0.01: all parameters are "
              "finite, the "
              "first gradient that is not is of 'linear.weight'");
}

TEST_CASE("training goes on after a loss that is not finite when told so") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  model->parameters()[0].parameter.master().mutable_span<float>()[0] = INFINITY;
  const auto result = Trainer(*model, sgd, {.stop_on_non_finite = false}).fit(spots(64));
  CHECK(result.steps == 4);
  CHECK(!std::isfinite(result.train.loss));
}

TEST_CASE("weights that are not finite do not replace a good checkpoint") {
  const TemporaryFolder folder;
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  Trainer trainer(*model, sgd, {.epochs = 3, .checkpoint = folder / "run"});
  trainer.add(at_step_end([](TrainState& state) {
    layers::Parameter first = state.optimizer.parameters()[0].parameter;
    if (state.step == 7) first.master().mutable_span<float>()[0] = INFINITY;
  }));
  CHECK_ERROR(trainer.fit(spots(64)), "parameter 'conv.weight' is not finite at step 8 (epoch 3)");
  for (const auto& [name, tensor] : layers::load_safetensors(folder / "run").tensors)
    for (float x : tensor.span<float>()) CHECK(std::isfinite(x));
}

TEST_CASE("options out of range are named at construction") {
  const auto model = tiny_model();
  Sgd sgd(model->parameters(), {});
  const auto make = [&](Trainer::Options options) { Trainer(*model, sgd, std::move(options)); };
  CHECK_ERROR((make({.epochs = 0}), 0), "trainer: epochs is 0, expected at least 1");
  CHECK_ERROR((make({.schedule = StepSchedule{.every = 0}}), 0), "step schedule: every is 0");
  CHECK_ERROR((make({.max_grad_norm = -1}), 0), "max_grad_norm is -1");
  CHECK_ERROR((make({.label_smoothing = 1}), 0), "label_smoothing is 1");
  const Loss loss = [](const Tensor& logits, const datasets::Batch&) { return logits; };
  CHECK_ERROR((make({.label_smoothing = 0.1f, .loss = loss}), 0),
              "label_smoothing belongs to the default loss");
  CHECK_ERROR((make({.checkpoint = "x", .checkpoint_every = -1}), 0), "checkpoint_every is -1");
  CHECK_ERROR((make({.checkpoint_every = 5}), 0), "checkpoint_every is 5, but there is no checkpoint path");
  if (!is_supported(Precision::bf16))
    CHECK_ERROR((make({.precision = Precision::bf16}), 0), "it needs AVX-512 (F, BW, DQ, VL); use f32");
}
