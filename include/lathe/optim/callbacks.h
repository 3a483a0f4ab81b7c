#pragma once

#include <lathe/optim/trainer.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>

namespace lathe::optim {

/// Epoch, step, loss, accuracy, images/s and ETA: one line that is redrawn at most ten times a second on a
/// terminal (and shortened to its width), and one plain line an epoch, the only ones elsewhere.
class ProgressBar : public Callback {
 public:
  /// `title` stands in front of each line. The stream must outlive the callback.
  explicit ProgressBar(std::FILE* stream, std::string title = {});
  ~ProgressBar() override;
  void fit_begin(TrainState&) override;
  void fit_end(TrainState&) override;
  void epoch_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  void step_end(TrainState&) override;
  void eval_begin(TrainState&) override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A CSV line an epoch: epoch (from 1), step (done so far), learning_rate (of the last step), train_loss,
/// train_accuracy, validation_loss, validation_accuracy (empty without a validation set), images_per_second.
/// Written whole and atomically at each epoch's end; a resumed run keeps the lines before.
class HistoryCsv : public Callback {
 public:
  explicit HistoryCsv(std::filesystem::path path) : path_(std::move(path)) {}
  void fit_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "history"; }
  std::string state() const override { return lines_; }
  void restore(const std::string& state) override { lines_ = state; }

 private:
  std::filesystem::path path_;
  std::string lines_;
};

/// Writes the weights (safetensors, with the model's name) at each epoch's end with a validation accuracy
/// above all before (the lower loss wins a tie), and puts them back into the model at the end of fit if
/// restore_best, unless it was interrupted. Epochs that are not TrainState::eligible do not count. Throws Error
/// when fit() has no validation set.
class BestCheckpoint : public Callback {
 public:
  explicit BestCheckpoint(std::filesystem::path path, bool restore_best = true, std::string model_name = {})
      : path_(std::move(path)), restore_best_(restore_best), model_name_(std::move(model_name)) {}
  void fit_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  void fit_end(TrainState&) override;
  std::string state_name() const override { return "best"; }
  std::string state() const override;
  void restore(const std::string& state) override;
  /// -1 before the first epoch's end.
  double best_accuracy() const { return best_accuracy_; }

 private:
  std::filesystem::path path_;
  bool restore_best_;
  std::string model_name_;
  double best_accuracy_ = -1;
  double best_loss_ = 0;
};

/// Counts epochs without progress.
struct Plateau {
  double min_delta = 0;
  double best = std::numeric_limits<double>::infinity();
  std::int64_t waited = 0;  ///< epochs since the loss fell by more than min_delta

  /// After an epoch. Looks at the validation loss, without a validation set at the training loss.
  void update(const TrainState& state);
};

/// Stops when the validation loss (without a validation set the training loss) has not fallen by more than
/// min_delta for `patience` epochs; those that are not TrainState::eligible do not count.
class EarlyStopping : public Callback {
 public:
  /// Throws Error unless patience >= 1 and min_delta >= 0.
  explicit EarlyStopping(std::int64_t patience, double min_delta = 0);
  void fit_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "early_stopping"; }
  std::string state() const override;
  void restore(const std::string& state) override;

 private:
  std::int64_t patience_;
  Plateau plateau_;
};

/// Multiplies the learning rate by `factor` each time the validation loss (without a validation set the
/// training loss) has not fallen by more than min_delta for `patience` epochs, down to `floor`. It scales
/// what the schedule says.
class ReduceOnPlateau : public Callback {
 public:
  struct Options {
    float factor = 0.1f;
    std::int64_t patience = 3;
    double min_delta = 1e-4;
    float floor = 0;  ///< lowest learning rate; what the schedule itself sets below it stays
  };
  /// Throws Error unless 0 < factor < 1, patience >= 1, min_delta >= 0, floor >= 0.
  explicit ReduceOnPlateau(const Options& options);
  void fit_begin(TrainState&) override;
  void step_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "reduce_on_plateau"; }
  std::string state() const override;
  void restore(const std::string& state) override;

 private:
  Options options_;
  Plateau plateau_;
  float scale_ = 1;
};

}  // namespace lathe::optim
