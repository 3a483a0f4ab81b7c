#pragma once

#include "cell.h"
#include "recipe.h"

#include <lathe/layers/module.h>

#include <memory>
#include <optional>
#include <vector>

namespace lathe::experiments {

/// A model trained with its passes, which are baked into its weights.
struct TrainedModel {
  std::unique_ptr<layers::Module> model;
  std::vector<Tensor> calibration;   ///< batches of training images, without random transforms
  std::filesystem::path checkpoint;  ///< the file with all its weights
  bool quantization_aware = false;
  std::int64_t unique_weights = 0;  ///< most different values in a clustered weight; 0: none is clustered
  double seconds = 0;
  std::int64_t tensor_bytes = 0;   ///< most that tensors took while it was trained
  double validation_accuracy = 0;  ///< of the last epoch; with RateSchedule::plateau of the best
};

/// What a training starts with, and what of it must stay.
struct Start {
  const layers::Module* weights = nullptr;  ///< null: fresh ones
  bool keep_zeros = false;
  bool keep_values = false;              ///< equal weights stay equal
  std::vector<std::string> freeze = {};  ///< globs of parameters that are not trained (layers::freeze)
  /// Globs of parameters that learn at another rate, and its share of the rate.
  std::vector<std::pair<std::string, float>> rates = {};
};

/// Trains config.base with the passes of `kind`, going on from the checkpoint in the folder. `teacher` is
/// needed for kd. Empty when it was interrupted.
std::optional<TrainedModel> train_model(const CellConfig& config, const Kind& kind, const Recipe& recipe,
                                        const Start& start, layers::Module* teacher,
                                        const datasets::Named& data, const ResultFolder& folder,
                                        const CellOptions& options);

/// The cells whose models a cell starts from or learns from: its baseline, the teacher. They are finished
/// before it.
std::vector<CellConfig> trained_before(const CellConfig& config);

/// How many images of a data set a cell trains on.
std::int64_t training_images(const CellConfig& config, const datasets::Named& data);

/// Trains the model of a cell; first, where they are wanted and not there, those of trained_before(). Empty
/// when it was interrupted.
std::optional<TrainedModel> train_cell(const CellConfig& config, const Recipe& recipe,
                                       const datasets::Named& data, const ResultFolder& folder,
                                       const CellOptions& options);

struct DeployOptions {
  CellOptions cell = {};
  std::int64_t latency_runs = 0;  ///< timed runs of each variant; 0: as measure_latency() chooses
  Cell extra = Cell::object();    ///< goes into the cell beside its results
};

/// The second half of run_cell(): deploys every variant of a trained model, measures each through its file,
/// writes the cell.
Cell deploy_cell(const CellConfig& config, const TrainedModel& trained, const datasets::Named& data,
                 const ResultFolder& folder, const DeployOptions& options = {});

}  // namespace lathe::experiments
