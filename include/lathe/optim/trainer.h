#pragma once

#include <lathe/core/precision.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/layers/module.h>
#include <lathe/optim/metrics.h>
#include <lathe/optim/optimizer.h>
#include <lathe/optim/schedule.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lathe::optim {

/// Where training stands: what callbacks see and may change.
struct TrainState {
  layers::Module& model;
  Optimizer& optimizer;
  std::int64_t epoch = 0;  ///< 0-based, the one that runs
  std::int64_t epochs = 0;
  std::int64_t step = 0;           ///< 0-based over all epochs; outside of steps: how many were done
  std::int64_t step_in_epoch = 0;  ///< the same within the epoch
  std::int64_t steps_per_epoch = 0;
  std::int64_t batch = 0;        ///< samples of a full batch
  double step_loss = 0;          ///< of the last step
  Metrics train;                 ///< of this epoch so far
  Metrics validation;            ///< of the last evaluation
  bool has_validation = false;   ///< a validation set was given
  double images_per_second = 0;  ///< in this epoch so far, evaluation not counted
  /// Is the model what is wanted in the end? True before each epoch and step; a callback that is still on the
  /// way (pruning before its final sparsity, clustering before it begins) makes it false. An epoch counts as the best one by its last
  /// step.
  bool eligible = true;
  bool stop = false;             ///< set it to end the epoch after this step, and training after this epoch
  std::string stop_reason = {};  ///< why, for people
  bool interrupted = false;      ///< in fit_end: fit() returns early, to be gone on with
};

/// Hooks into training; each does nothing unless overridden. They run in the order given, ends in the reverse
/// order. A callback that keeps something over steps saves it in state() as text, so that a resumed run goes
/// on with it: restore() is called before fit_begin(). An interrupted epoch is begun again when it is gone on
/// with, and an interrupted evaluation is made again. A callback must not draw from the module's random
/// numbers nor change its weights if resuming is to be exact.
class Callback {
 public:
  virtual ~Callback() = default;
  virtual void fit_begin(TrainState&) {}
  virtual void fit_end(TrainState&) {}
  virtual void epoch_begin(TrainState&) {}
  virtual void epoch_end(TrainState&) {}  ///< after the evaluation
  virtual void step_begin(TrainState&) {}
  virtual void step_end(TrainState&) {}  ///< after the optimiser
  virtual void eval_begin(TrainState&) {}
  virtual void eval_end(TrainState&) {}

  /// Names the state in a checkpoint; empty: nothing to save.
  virtual std::string state_name() const { return {}; }
  virtual std::string state() const { return {}; }
  /// Throws Error when the text does not come from state().
  virtual void restore(const std::string& state) { (void)state; }
};

/// Trains a classifier. Optional: a loop of ten lines over DataLoader, cross_entropy, backward() and step()
/// does the same.
///
///   optim::Trainer trainer(model, optimizer, {.epochs = 10, .schedule = OneCycleSchedule{...}});
///   trainer.add(std::make_unique<ProgressBar>(stderr));
///   trainer.fit(train_loader, &validation_loader);
///
/// The model and the optimiser must outlive it.
class Trainer {
 public:
  struct Options {
    std::int64_t epochs = 1;
    /// Of the learning rate; empty: the optimiser's own stays.
    std::optional<Schedule> schedule = {};
    float max_grad_norm = 0;    ///< 0: no clipping
    float label_smoothing = 0;  ///< of the default loss, cross_entropy
    Loss loss = {};
    /// Of the steps' convolutions and linear layers; evaluations and the loss are f32.
    Precision precision = Precision::f32;
    /// Where the checkpoint for resuming is kept; empty: none. It is written at each epoch's end, and an
    /// existing one is gone on from, with the same results as if training had not stopped.
    std::filesystem::path checkpoint = {};
    std::string model_name = {};  ///< of a bundled model, kept in the checkpoint so that it can be deployed
    std::int64_t checkpoint_every = 0;  ///< steps between checkpoints within an epoch; 0: none
    /// Set by a signal handler: when it becomes true the step is finished, a checkpoint written, and fit()
    /// returns.
    const std::atomic<bool>* interrupt = nullptr;
    bool stop_on_non_finite = true;  ///< false: go on after a loss that is not finite
  };
  /// Throws Error naming the first option that is out of range, or the precision that this processor has not.
  Trainer(layers::Module& model, Optimizer& optimizer, Options options);
  ~Trainer();

  /// Takes over a callback; returns it. Throws Error when another one saves its state under the same name.
  template <typename C>
  C& add(std::unique_ptr<C> callback) {
    C& result = *callback;
    append(std::move(callback));
    return result;
  }

  struct Result {
    std::int64_t steps = 0;  ///< in all, those before a resume included
    Metrics train;           ///< of the last epoch
    Metrics validation;
    bool interrupted = false;
    std::string stop_reason;  ///< empty: all epochs were run
    double seconds = 0;       ///< spent training, those before a resume included
  };
  /// Leaves the model in training mode. Throws Error
  /// - when the loss or the gradients are not finite, with the step, the learning rate and the first bad
  /// parameter,
  /// - when the checkpoint belongs to a run with another model, optimiser, data or options, with what
  /// differs.
  Result fit(const datasets::DataLoader& train, const datasets::DataLoader* validation = nullptr);

 private:
  class Run;
  void append(std::unique_ptr<Callback> callback);

  layers::Module& model_;
  Optimizer& optimizer_;
  Options options_;
  Schedule schedule_;
  std::vector<std::unique_ptr<Callback>> callbacks_;
};

/// The weights and the metadata of a file written by save_weights(), BestCheckpoint or a Trainer, without the
/// state of training. Throws Error naming the file.
layers::Checkpoint load_model_weights(const std::filesystem::path& path);

}  // namespace lathe::optim
