#pragma once

#include <lathe/optim/trainer.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

namespace lathe::optim {

/// Epoch, step, loss, accuracy, images/s and ETA: one line that is redrawn on a terminal, one plain line an epoch elsewhere.
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

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A CSV line an epoch: epoch, step, learning_rate, train_loss, train_accuracy, validation_loss, validation_accuracy, images_per_second.
/// Written whole and atomically at each epoch's end; a resumed run keeps the lines before.
class HistoryCsv : public Callback {
 public:
  explicit HistoryCsv(std::filesystem::path path) : path_(std::move(path)) {}
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "history"; }
  std::string state() const override { return lines_; }
  void restore(const std::string& state) override { lines_ = state; }

 private:
  std::filesystem::path path_;
  std::string lines_;
};

/// Writes the weights (safetensors) at each epoch's end with a validation accuracy above all before (the lower loss wins a tie),
/// and puts them back into the model at the end of fit if restore_best.
class BestCheckpoint : public Callback {
 public:
  explicit BestCheckpoint(std::filesystem::path path, bool restore_best = true)
      : path_(std::move(path)), restore_best_(restore_best) {}
  void epoch_end(TrainState&) override;
  void fit_end(TrainState&) override;
  std::string state_name() const override { return "best"; }
  std::string state() const override;
  void restore(const std::string& state) override;
  double best_accuracy() const { return best_accuracy_; }

 private:
  std::filesystem::path path_;
  bool restore_best_;
  double best_accuracy_ = -1;
  double best_loss_ = 0;
};

/// Stops when the validation loss has not fallen by more than min_delta for `patience` epochs.
class EarlyStopping : public Callback {
 public:
  explicit EarlyStopping(std::int64_t patience, double min_delta = 0);
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "early_stopping"; }
  std::string state() const override;
  void restore(const std::string& state) override;

 private:
  std::int64_t patience_;
  double min_delta_;
  double best_ = 0;
  std::int64_t waited_ = -1;  ///< -1: nothing seen yet
};

/// Multiplies the learning rate by `factor` each time the monitored loss (validation, else training) has not fallen by more than
/// min_delta for `patience` epochs, down to `floor`. It scales what the schedule says.
class ReduceOnPlateau : public Callback {
 public:
  struct Options {
    float factor = 0.1f;
    std::int64_t patience = 3;
    double min_delta = 1e-4;
    float floor = 0;  ///< lowest learning rate
  };
  explicit ReduceOnPlateau(const Options& options);
  void step_begin(TrainState&) override;
  void epoch_end(TrainState&) override;
  std::string state_name() const override { return "reduce_on_plateau"; }
  std::string state() const override;
  void restore(const std::string& state) override;

 private:
  Options options_;
  double best_ = 0;
  std::int64_t waited_ = -1;
  float scale_ = 1;
};

}  // namespace lathe::optim
