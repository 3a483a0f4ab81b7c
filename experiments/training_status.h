#pragma once

#include <lathe/optim/trainer.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::experiments {

/// Where a training stands.
struct TrainingStatus {
  std::int64_t epoch = 0;  ///< epochs done
  std::int64_t epochs = 0;
  std::int64_t step = 0;  ///< steps done, over all epochs
  std::int64_t steps = 0;
  double accuracy = -1;  ///< on validation images after the last epoch, 0..1; negative: not known
};

/// A line of text and back; none when the line is not one.
std::string to_line(const TrainingStatus& status);
std::optional<TrainingStatus> parse_status(std::string_view line);

/// Writes a line at the begin, at each epoch's end, and five times a second.
class StatusLines : public optim::Callback {
 public:
  /// The stream must outlive the callback.
  explicit StatusLines(std::FILE* stream) : stream_(stream) {}
  void fit_begin(optim::TrainState& state) override { write(state); }
  void step_end(optim::TrainState& state) override;
  void epoch_end(optim::TrainState& state) override;

 private:
  void write(const optim::TrainState& state);

  std::FILE* stream_;
  TrainingStatus status_;
  std::chrono::steady_clock::time_point written_{};
};

}  // namespace lathe::experiments
