#include <lathe/base/error.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/optim/callbacks.h>

#include "number_text.h"

#include <array>

namespace lathe::optim {

void BestCheckpoint::fit_begin(TrainState& state) {
  check(state.has_validation, "best checkpoint: there is no validation set to choose {} by", path_.string());
  if (state.step == 0) best_accuracy_ = -1;
}

void BestCheckpoint::epoch_end(TrainState& state) {
  if (!state.eligible) return;
  const Metrics& now = state.validation;
  if (now.accuracy < best_accuracy_ || (now.accuracy == best_accuracy_ && !(now.loss < best_loss_))) return;
  layers::save_weights(state.model, model_name_, path_);
  best_accuracy_ = now.accuracy;
  best_loss_ = now.loss;
}

void BestCheckpoint::fit_end(TrainState& state) {
  if (restore_best_ && !state.interrupted && best_accuracy_ >= 0)
    layers::load_weights(state.model, layers::load_safetensors(path_).tensors);
}

std::string BestCheckpoint::state() const { return exact_text({best_accuracy_, best_loss_}); }

void BestCheckpoint::restore(const std::string& state) {
  std::array<double, 2> values;
  parse_numbers(state, values);
  best_accuracy_ = values[0];
  best_loss_ = values[1];
}

}  // namespace lathe::optim
