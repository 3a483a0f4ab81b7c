#include "tensorboard/callback.h"

#include "layer_history.h"

#include <lathe/compress/cluster.h>
#include <lathe/core/autograd.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

/// So many times in the training, each time `step` (1-based) comes by.
bool due(const optim::TrainState& state, std::int64_t step, std::int64_t times) {
  return step % std::max<std::int64_t>(1, state.epochs * state.steps_per_epoch / times) == 0;
}

}  // namespace

void TensorBoard::fit_begin(optim::TrainState& state) {
  if (state.step == state.epochs * state.steps_per_epoch) return;  // a finished training
  file_.emplace(folder_, state.step);
  if (state.step > 0) return;
  weights(state, 0);
  histograms(state, 0);
}

void TensorBoard::step_end(optim::TrainState& state) {
  const std::int64_t step = state.step + 1;
  if (due(state, step, 1000)) {
    const EventFile::Scalar scalars[] = {{"loss/step", state.step_loss},
                                         {"learning_rate", state.optimizer.learning_rate()}};
    file_->add(step, scalars);
  }
  if (due(state, step, LayerHistory::kSamples)) weights(state, step);
}

void TensorBoard::epoch_end(optim::TrainState& state) {
  std::vector<EventFile::Scalar> scalars = {{"loss/train", state.train.loss},
                                            {"accuracy/train", state.train.accuracy},
                                            {"images_per_second", state.images_per_second}};
  if (state.has_validation) {
    scalars.push_back({"loss/validation", state.validation.loss});
    scalars.push_back({"accuracy/validation", state.validation.accuracy});
  }
  file_->add(state.step, scalars);
  histograms(state, state.step);
}

void TensorBoard::weights(optim::TrainState& state, std::int64_t step) {
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [name, value] : weights_in_use(state.model)) {
    scalars.push_back({"sparsity/" + name, share_of_zeros(value)});
    scalars.push_back(
        {"unique_values/" + name, static_cast<double>(compress::count_unique(value.span<float>()))});
  }
  for (const auto& [name, tensor] : state.model.buffers())
    if (name.ends_with(".range")) {
      scalars.push_back({name + "/min", tensor.span<float>()[0]});
      scalars.push_back({name + "/max", tensor.span<float>()[1]});
    }
  file_->add(step, scalars);
}

void TensorBoard::histograms(optim::TrainState& state, std::int64_t step) {
  for (const auto& [name, value] : weights_in_use(state.model))
    file_->add(step, EventFile::Values{"weights/" + name, value.span<float>()});
}

}  // namespace lathe::experiments
