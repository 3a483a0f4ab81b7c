#pragma once

#include "tensorboard/event_file.h"

#include <lathe/optim/trainer.h>

#include <filesystem>
#include <optional>

namespace lathe::experiments {

/// What happens in training, for TensorBoard (`tensorboard --logdir FOLDER`): at about a thousand steps loss
/// and learning rate; at about fifty the share of zeros and the number of different values of each weight
/// tensor and the ranges of quantized activations; at each epoch's end losses and accuracies of training and
/// validation, images/s, and histograms of the weights as the forward pass sees them. A resumed training
/// goes on in a file of its own in the same folder.
class TensorBoard : public optim::Callback {
 public:
  explicit TensorBoard(std::filesystem::path folder) : folder_(std::move(folder)) {}
  void fit_begin(optim::TrainState& state) override;
  void step_end(optim::TrainState& state) override;
  void epoch_end(optim::TrainState& state) override;

 private:
  void weights(optim::TrainState& state, std::int64_t step);
  void histograms(optim::TrainState& state, std::int64_t step);

  std::filesystem::path folder_;
  std::optional<EventFile> file_;
};

}  // namespace lathe::experiments
