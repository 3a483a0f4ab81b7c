#include <lathe/optim/trainer.h>

#include <lathe/base/error.h>
#include <lathe/layers/checkpoint.h>

#include "evaluation.h"
#include "training_checkpoint.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>

namespace lathe::optim {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool all_finite(const Tensor& tensor) {
  return std::ranges::all_of(tensor.span<float>(), [](float x) { return std::isfinite(x); });
}

/// The name of the first of these that has an element that is not finite; empty if there is none.
std::string first_bad(const std::vector<layers::NamedTensor>& tensors) {
  for (const auto& [name, tensor] : tensors)
    if (tensor && tensor.dtype() == Dtype::f32 && !all_finite(tensor)) return name;
  return {};
}

std::vector<layers::NamedTensor> parameters(const Optimizer& optimizer) {
  std::vector<layers::NamedTensor> result;
  for (const auto& [name, parameter] : optimizer.parameters()) result.push_back({name, parameter.master()});
  return result;
}

std::vector<layers::NamedTensor> gradients(const Optimizer& optimizer) {
  std::vector<layers::NamedTensor> result;
  for (const auto& [name, parameter] : optimizer.parameters())
    result.push_back({name, parameter.master().grad()});
  return result;
}

Fingerprint make_fingerprint(const layers::Module& model, const Optimizer& optimizer,
                             const Trainer::Options& options, const Schedule& schedule,
                             const std::vector<std::unique_ptr<Callback>>& callbacks,
                             const datasets::DataLoader& train, const datasets::DataLoader* validation) {
  std::string names, states;
  std::int64_t elements = 0;
  const std::vector<layers::NamedTensor> weights = layers::weights(model);
  for (const auto& [name, tensor] : weights) {
    names += name + to_string(tensor.shape());
    elements += tensor.size();
  }
  for (const auto& callback : callbacks)
    if (const std::string name = callback->state_name(); !name.empty())
      states += (states.empty() ? "" : " ") + name;
  const auto data = [](const datasets::DataLoader& loader) {
    return fmt::format("{} images of {} in {} classes", loader.dataset().size(),
                       to_string(loader.dataset().image_shape()), loader.dataset().classes().size());
  };
  const datasets::DataLoader::Options& loading = train.options();
  return {
      {"model", fmt::format("{} tensors with {} elements, names and shapes {:016x}", weights.size(), elements,
                            hash_bits(names))},
      {"optimizer", optimizer.description()},
      {"schedule", to_string(schedule)},
      {"epochs", fmt::format("{}", options.epochs)},
      {"max_grad_norm", fmt::format("{}", options.max_grad_norm)},
      {"loss",
       options.loss ? "custom" : fmt::format("cross_entropy(label_smoothing={})", options.label_smoothing)},
      {"training set", data(train)},
      {"precision", std::string(to_string(options.precision))},
      {"batch", fmt::format("{}", loading.batch)},
      {"shuffle", fmt::format("{}", loading.shuffle)},
      {"seed", fmt::format("{}", loading.seed)},
      {"drop_last", fmt::format("{}", loading.drop_last)},
      {"validation set", validation ? data(*validation) : "none"},
      {"callbacks", states},
  };
}

}  // namespace

/// One call of fit().
class Trainer::Run {
 public:
  Run(Trainer& trainer, const datasets::DataLoader& train, const datasets::DataLoader* validation)
      : model_(trainer.model_),
        optimizer_(trainer.optimizer_),
        options_(trainer.options_),
        callbacks_(trainer.callbacks_),
        schedule_(trainer.schedule_),
        loss_(options_.loss ? options_.loss : cross_entropy_loss(options_.label_smoothing)),
        train_(train),
        validation_(validation),
        fingerprint_(
            make_fingerprint(model_, optimizer_, options_, schedule_, callbacks_, train, validation)),
        state_{.model = model_, .optimizer = optimizer_} {
    state_.epochs = options_.epochs;
    state_.steps_per_epoch = train.batches();
    state_.batch = train.options().batch;
    state_.has_validation = validation != nullptr;
  }

  Result fit() {
    resume();
    model_.train();
    begin(&Callback::fit_begin);
    while (!finished() && !interrupted()) epoch();
    if (interrupted()) write_checkpoint();
    state_.interrupted = interrupted();
    end(&Callback::fit_end);
    return {.steps = progress_.step,
            .train = progress_.sums.metrics(),
            .validation = progress_.validation,
            .interrupted = state_.interrupted,
            .stop_reason = state_.stop_reason,
            .seconds = seconds()};
  }

 private:
  void begin(void (Callback::*hook)(TrainState&)) {
    publish();
    for (const auto& callback : callbacks_) ((*callback).*hook)(state_);
  }

  void end(void (Callback::*hook)(TrainState&)) {
    publish();
    for (auto callback = callbacks_.rbegin(); callback != callbacks_.rend(); ++callback)
      ((**callback).*hook)(state_);
  }

  /// Shows callbacks where the run stands.
  void publish() {
    state_.epoch = progress_.epoch;
    state_.step = progress_.step;
    state_.step_in_epoch = progress_.step_in_epoch;
    state_.train = progress_.sums.metrics();
    state_.validation = progress_.validation;
    state_.images_per_second = progress_.epoch_seconds > 0
                                   ? static_cast<double>(progress_.sums.samples) / progress_.epoch_seconds
                                   : 0;
  }

  bool interrupted() const { return options_.interrupt && *options_.interrupt; }
  bool finished() const {
    return progress_.epoch >= options_.epochs || (state_.stop && progress_.step_in_epoch == 0);
  }
  double seconds() const { return seconds_before_ + seconds_since(start_); }

  /// An epoch, or what is left of it; returns within it when interrupted.
  void epoch() {
    if (progress_.step_in_epoch == 0) {
      progress_.sums = {};
      progress_.epoch_seconds = 0;
    }
    state_.eligible = true;
    begin(&Callback::epoch_begin);
    if (!steps() || !evaluate()) return;
    end(&Callback::epoch_end);
    ++progress_.epoch;
    progress_.step_in_epoch = 0;
    write_checkpoint();
  }

  /// False when interrupted.
  bool steps() {
    const auto done = [&] {
      return progress_.step_in_epoch == state_.steps_per_epoch ||
             (state_.stop && progress_.step_in_epoch > 0);
    };
    if (done()) return true;
    auto batches = train_.epoch(progress_.epoch, progress_.step_in_epoch);
    while (!done()) {
      const Clock::time_point start = Clock::now();
      const auto batch = batches.next();
      check(batch.has_value(), "trainer: epoch {} ended after {} of {} batches", progress_.epoch + 1,
            progress_.step_in_epoch, state_.steps_per_epoch);
      step(*batch, start);
      if (interrupted()) return false;
      if (options_.checkpoint_every > 0 && progress_.step % options_.checkpoint_every == 0)
        write_checkpoint();
    }
    return true;
  }

  void step(const datasets::Batch& batch, Clock::time_point start) {
    optimizer_.set_learning_rate(learning_rate_at(schedule_, progress_.step));
    state_.eligible = true;
    begin(&Callback::step_begin);
    optimizer_.clear_grads();
    const Tensor logits = forward(batch.images);
    const Tensor loss = loss_(logits, batch);
    const float value = loss.item();
    const bool watch = options_.stop_on_non_finite;
    loss.backward();
    if (watch && !std::isfinite(value)) fail_non_finite("the loss", value, batch);
    if (options_.max_grad_norm > 0) {
      const float norm = clip_grad_norm(optimizer_.parameters(), options_.max_grad_norm);
      if (watch && !std::isfinite(norm)) fail_non_finite("the norm of the gradients", norm, batch);
    }
    optimizer_.step();

    progress_.sums.add(value, count_correct(logits, batch.labels), batch.size());
    progress_.epoch_seconds += seconds_since(start);
    state_.step_loss = value;
    // Callbacks see the number of this step, but the metrics with it.
    end(&Callback::step_end);
    ++progress_.step;
    ++progress_.step_in_epoch;
  }

  Tensor forward(const Tensor& images) {
    const PrecisionScope scope(options_.precision);
    return model_(images);
  }

  /// False when interrupted.
  bool evaluate() {
    if (!validation_) return true;
    begin(&Callback::eval_begin);
    const std::optional<Metrics> metrics = evaluate_unless(model_, *validation_, loss_, options_.interrupt);
    if (!metrics) return false;
    progress_.validation = *metrics;
    end(&Callback::eval_end);
    return true;
  }

  std::string where() const {
    return fmt::format("at step {} (epoch {}), learning rate {}", progress_.step, progress_.epoch + 1,
                       optimizer_.learning_rate());
  }

  /// Parameters first: whatever else is bad may come from them.
  [[noreturn]] void fail_non_finite(std::string_view what, float value, const datasets::Batch& batch) const {
    const std::string begin =
        fmt::format("training: {} is {} {}", what, std::isnan(value) ? "nan" : "infinite", where());
    if (const std::string name = first_bad(parameters(optimizer_)); !name.empty())
      fail("{}: the first parameter that is not finite is '{}'", begin, name);
    if (!all_finite(batch.images)) fail("{}: the images of the batch are not finite", begin);
    if (const std::string name = first_bad(layers::weights(model_)); !name.empty())
      fail("{}: all parameters are finite, but '{}' is not", begin, name);
    if (const std::string name = first_bad(gradients(optimizer_)); !name.empty())
      fail("{}: all parameters are finite, the first gradient that is not is of '{}'", begin, name);
    fail("{}: all parameters and gradients are finite", begin);
  }

  Resumable resumable() const { return {model_, optimizer_, callbacks_, fingerprint_, options_.model_name}; }

  /// Weights that are not finite do not replace a checkpoint that may still be good.
  void write_checkpoint() {
    if (options_.checkpoint.empty()) return;
    if (options_.stop_on_non_finite)
      if (const std::string name = first_bad(layers::weights(model_)); !name.empty())
        fail("training: parameter '{}' is not finite {}", name, where());
    progress_.seconds = seconds();
    progress_.stop = state_.stop;
    progress_.stop_reason = state_.stop_reason;
    save_training(resumable(), progress_, options_.checkpoint);
  }

  void resume() {
    if (options_.checkpoint.empty() || !std::filesystem::exists(options_.checkpoint)) return;
    progress_ = load_training(resumable(), options_.checkpoint);
    check(
        progress_.epoch <= options_.epochs && progress_.step_in_epoch <= state_.steps_per_epoch,
        "cannot go on from checkpoint {}: it stands at step {} of epoch {}, there are {} steps and {} epochs",
        options_.checkpoint.string(), progress_.step_in_epoch, progress_.epoch + 1, state_.steps_per_epoch,
        options_.epochs);
    check(progress_.step == progress_.epoch * state_.steps_per_epoch + progress_.step_in_epoch ||
              progress_.stop,
          "cannot go on from checkpoint {}: step {} is not step {} of epoch {}", options_.checkpoint.string(),
          progress_.step, progress_.step_in_epoch, progress_.epoch + 1);
    state_.stop = progress_.stop;
    state_.stop_reason = progress_.stop_reason;
    seconds_before_ = progress_.seconds;
  }

  layers::Module& model_;
  Optimizer& optimizer_;
  const Options& options_;
  const std::vector<std::unique_ptr<Callback>>& callbacks_;
  const Schedule& schedule_;
  Loss loss_;
  const datasets::DataLoader& train_;
  const datasets::DataLoader* validation_;
  Fingerprint fingerprint_;
  TrainState state_;
  Progress progress_;
  Clock::time_point start_ = Clock::now();
  double seconds_before_ = 0;
};

Trainer::Trainer(layers::Module& model, Optimizer& optimizer, Options options)
    : model_(model),
      optimizer_(optimizer),
      options_(std::move(options)),
      schedule_(options_.schedule.value_or(ConstantSchedule{optimizer.learning_rate()})) {
  check(options_.epochs >= 1, "trainer: epochs is {}, expected at least 1", options_.epochs);
  validate(schedule_);
  check(std::isfinite(options_.max_grad_norm) && options_.max_grad_norm >= 0,
        "trainer: max_grad_norm is {}, expected a finite number >= 0", options_.max_grad_norm);
  check(options_.label_smoothing >= 0 && options_.label_smoothing < 1,
        "trainer: label_smoothing is {}, expected 0 <= label_smoothing < 1", options_.label_smoothing);
  check(!options_.loss || options_.label_smoothing == 0,
        "trainer: label_smoothing belongs to the default loss, but a loss is given");
  check_supported(options_.precision);
  check(options_.checkpoint_every >= 0, "trainer: checkpoint_every is {}, expected at least 0",
        options_.checkpoint_every);
  check(options_.checkpoint_every == 0 || !options_.checkpoint.empty(),
        "trainer: checkpoint_every is {}, but there is no checkpoint path", options_.checkpoint_every);
}

Trainer::~Trainer() = default;

void Trainer::append(std::unique_ptr<Callback> callback) {
  const std::string name = callback->state_name();
  for (const auto& other : callbacks_)
    check(name.empty() || other->state_name() != name, "trainer: two callbacks keep their state as '{}'",
          name);
  callbacks_.push_back(std::move(callback));
}

Trainer::Result Trainer::fit(const datasets::DataLoader& train, const datasets::DataLoader* validation) {
  return Run(*this, train, validation).fit();
}

}  // namespace lathe::optim
