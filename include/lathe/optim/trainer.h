#pragma once

#include <lathe/datasets/loader.h>
#include <lathe/layers/module.h>
#include <lathe/optim/optimizer.h>
#include <lathe/optim/schedule.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lathe::optim {

/// Means over the samples of an epoch or an evaluation.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  ///< 0..1
  std::int64_t samples = 0;
};

class Trainer;

/// Where training stands: what callbacks see and may change.
struct TrainState {
  layers::Module& model;
  Optimizer& optimizer;
  std::int64_t epoch = 0;           ///< 0-based, the one that runs
  std::int64_t epochs = 0;
  std::int64_t step = 0;            ///< 0-based over all epochs
  std::int64_t step_in_epoch = 0;
  std::int64_t steps_per_epoch = 0;
  double step_loss = 0;             ///< of the last step
  Metrics train;                    ///< of this epoch so far
  Metrics validation;               ///< of the last evaluation
  bool has_validation = false;
  double images_per_second = 0;     ///< in this epoch so far, evaluation not counted
  bool stop = false;                ///< set it to end training after this step
  std::string stop_reason;          ///< why, for people
};

/// Hooks into training; each does nothing unless overridden. They run in the order given, ends in the reverse order.
/// A callback that keeps something over steps saves it in state() as text, so that a resumed run goes on with it.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void fit_begin(TrainState&) {}
  virtual void fit_end(TrainState&) {}
  virtual void epoch_begin(TrainState&) {}
  virtual void epoch_end(TrainState&) {}   ///< after the evaluation
  virtual void step_begin(TrainState&) {}
  virtual void step_end(TrainState&) {}    ///< after the optimiser
  virtual void eval_begin(TrainState&) {}
  virtual void eval_end(TrainState&) {}

  /// Names the state in a checkpoint; empty: nothing to save.
  virtual std::string state_name() const { return {}; }
  virtual std::string state() const { return {}; }
  virtual void restore(const std::string& state) { (void)state; }
};

/// logits, batch -> scalar loss. The default is cross_entropy.
using Loss = std::function<Tensor(const Tensor& logits, const datasets::Batch& batch)>;

/// Trains a classifier. Optional: a loop of ten lines over DataLoader, cross_entropy, backward() and step() does the same.
///
///   optim::Trainer trainer(model, optimizer, {.epochs = 10, .schedule = OneCycleSchedule{...}});
///   trainer.add(std::make_unique<ProgressBar>(stderr));
///   trainer.fit(train_loader, &validation_loader);
class Trainer {
 public:
  struct Options {
    std::int64_t epochs = 1;
    Schedule schedule = ConstantSchedule{};
    float max_grad_norm = 0;        ///< 0: no clipping
    float label_smoothing = 0;      ///< of the default loss
    Loss loss = {};
    /// Where the checkpoint for resuming is kept; empty: none. An existing one is gone on from.
    std::filesystem::path checkpoint = {};
    std::int64_t checkpoint_every = 0;  ///< steps; 0: at each epoch's end
    /// Set by a signal handler: when it becomes true the step is finished, a checkpoint written, and fit() returns.
    const std::atomic<bool>* interrupt = nullptr;
  };
  Trainer(layers::Module& model, Optimizer& optimizer, Options options);
  ~Trainer();

  /// Takes over a callback; returns it.
  template <typename C>
  C& add(std::unique_ptr<C> callback) {
    C& result = *callback;
    callbacks_.push_back(std::move(callback));
    return result;
  }

  struct Result {
    std::int64_t steps = 0;        ///< in all, those before a resume included
    Metrics train;                 ///< of the last epoch
    Metrics validation;
    bool interrupted = false;
    std::string stop_reason;       ///< empty: all epochs were run
    double seconds = 0;            ///< spent training, those before a resume included
  };
  /// Throws Error when the loss is not finite, with the step, the learning rate and the first parameter that is not finite.
  Result fit(const datasets::DataLoader& train, const datasets::DataLoader* validation = nullptr);

 private:
  struct Run;
  layers::Module& model_;
  Optimizer& optimizer_;
  Options options_;
  std::vector<std::unique_ptr<Callback>> callbacks_;
};

/// Loss and accuracy of a module in eval mode over all batches. Its mode is the same afterwards.
Metrics evaluate(layers::Module& model, const datasets::DataLoader& loader, const Loss& loss = {});

}  // namespace lathe::optim
