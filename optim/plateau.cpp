#include <lathe/base/error.h>
#include <lathe/optim/callbacks.h>

#include "number_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace lathe::optim {
namespace {

void check_options(std::string_view callback, std::int64_t patience, double min_delta) {
  check(patience >= 1, "{}: patience is {}, expected at least 1 epoch", callback, patience);
  check(std::isfinite(min_delta) && min_delta >= 0, "{}: min_delta is {}, expected a finite number >= 0",
        callback, min_delta);
}

std::int64_t epochs_waited(double value, const std::string& state) {
  check(value >= 0 && value <= 1e9 && value == std::floor(value), "'{}': {} is not a number of epochs", state,
        value);
  return static_cast<std::int64_t>(value);
}

}  // namespace

void Plateau::update(const TrainState& state) {
  const double loss = state.has_validation ? state.validation.loss : state.train.loss;
  if (loss < best - min_delta) {
    best = loss;
    waited = 0;
  } else {
    ++waited;  // nan comes here too
  }
}

EarlyStopping::EarlyStopping(std::int64_t patience, double min_delta)
    : patience_(patience), plateau_{.min_delta = min_delta} {
  check_options("early stopping", patience, min_delta);
}

void EarlyStopping::fit_begin(TrainState& state) {
  if (state.step == 0) plateau_ = {.min_delta = plateau_.min_delta};
}

void EarlyStopping::epoch_end(TrainState& state) {
  if (!state.eligible) return;
  plateau_.update(state);
  if (plateau_.waited < patience_) return;
  state.stop = true;
  state.stop_reason =
      fmt::format("the {} loss has not fallen below {:.6g} for {} epochs",
                  state.has_validation ? "validation" : "training", plateau_.best, plateau_.waited);
}

std::string EarlyStopping::state() const {
  return exact_text({plateau_.best, static_cast<double>(plateau_.waited)});
}

void EarlyStopping::restore(const std::string& state) {
  std::array<double, 2> values;
  parse_numbers(state, values);
  plateau_.best = values[0];
  plateau_.waited = epochs_waited(values[1], state);
}

ReduceOnPlateau::ReduceOnPlateau(const Options& options)
    : options_(options), plateau_{.min_delta = options.min_delta} {
  check_options("reduce on plateau", options.patience, options.min_delta);
  check(options.factor > 0 && options.factor < 1, "reduce on plateau: factor is {}, expected 0 < factor < 1",
        options.factor);
  check(std::isfinite(options.floor) && options.floor >= 0,
        "reduce on plateau: floor is {}, expected a finite number >= 0", options.floor);
}

void ReduceOnPlateau::fit_begin(TrainState& state) {
  if (state.step > 0) return;
  plateau_ = {.min_delta = options_.min_delta};
  scale_ = 1;
}

void ReduceOnPlateau::step_begin(TrainState& state) {
  const float scheduled = state.optimizer.learning_rate();
  state.optimizer.set_learning_rate(std::max(scheduled * scale_, std::min(scheduled, options_.floor)));
}

void ReduceOnPlateau::epoch_end(TrainState& state) {
  plateau_.update(state);
  if (plateau_.waited < options_.patience) return;
  plateau_.waited = 0;
  scale_ *= options_.factor;
}

std::string ReduceOnPlateau::state() const {
  return exact_text({plateau_.best, static_cast<double>(plateau_.waited), static_cast<double>(scale_)});
}

void ReduceOnPlateau::restore(const std::string& state) {
  std::array<double, 3> values;
  parse_numbers(state, values);
  plateau_.best = values[0];
  plateau_.waited = epochs_waited(values[1], state);
  check(values[2] >= 0 && values[2] <= 1, "reduce on plateau: {} does not scale a learning rate down",
        values[2]);
  scale_ = static_cast<float>(values[2]);
}

}  // namespace lathe::optim
