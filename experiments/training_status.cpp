#include "training_status.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace lathe::experiments {

std::string to_line(const TrainingStatus& status) {
  return nlohmann::json{{"epoch", status.epoch},
                        {"epochs", status.epochs},
                        {"step", status.step},
                        {"steps", status.steps},
                        {"accuracy", status.accuracy}}
      .dump();
}

std::optional<TrainingStatus> parse_status(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return {};
  for (const char* key : {"epoch", "epochs", "step", "steps", "accuracy"})
    if (!json.contains(key) || !json[key].is_number()) return {};
  return TrainingStatus{json["epoch"], json["epochs"], json["step"], json["steps"], json["accuracy"]};
}

void StatusLines::write(const optim::TrainState& state) {
  status_.epochs = state.epochs;
  status_.steps = state.epochs * state.steps_per_epoch;
  fmt::print(stream_, "{}\n", to_line(status_));
  std::fflush(stream_);
  written_ = std::chrono::steady_clock::now();
}

void StatusLines::step_end(optim::TrainState& state) {
  status_.epoch = state.epoch;
  status_.step = state.step + 1;
  if (std::chrono::steady_clock::now() - written_ > std::chrono::milliseconds(200)) write(state);
}

void StatusLines::epoch_end(optim::TrainState& state) {
  status_.epoch = state.epoch + 1;
  if (state.has_validation) status_.accuracy = state.validation.accuracy;
  write(state);
}

}  // namespace lathe::experiments
