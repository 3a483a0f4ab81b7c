#pragma once

#include <lathe/optim/trainer.h>

#include "evaluation.h"

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lathe::optim {

/// Where a run stands, as far as it is not in the model, the optimiser or the callbacks.
struct Progress {
  std::int64_t epoch = 0;  ///< that runs, or is next when step_in_epoch is 0
  std::int64_t step = 0;   ///< done in all
  std::int64_t step_in_epoch =
      0;      ///< done in the epoch; may be all of them, with the evaluation still to come
  Sums sums;  ///< of the epoch, or of the last one when step_in_epoch is 0
  Metrics validation;
  double epoch_seconds = 0;
  double seconds = 0;
  bool stop = false;  ///< a callback asked for it
  std::string stop_reason;
};

/// What must be equal for a run to be gone on with: name and value, as text.
using Fingerprint = std::vector<std::pair<std::string, std::string>>;

/// The parts of a run that a checkpoint holds.
struct Resumable {
  layers::Module& model;
  Optimizer& optimizer;
  const std::vector<std::unique_ptr<Callback>>& callbacks;
  const Fingerprint& fingerprint;
  const std::string& model_name;
};

void save_training(const Resumable& run, const Progress& progress, const std::filesystem::path& path);

/// Throws Error naming the file, and what differs when its fingerprint is another one.
Progress load_training(const Resumable& run, const std::filesystem::path& path);

}  // namespace lathe::optim
