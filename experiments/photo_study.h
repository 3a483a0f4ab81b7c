#pragma once

#include "train.h"

#include <lathe/layers/module.h>

#include <string>
#include <vector>

namespace lathe::experiments {

/// One experiment on photos: a cell, and what its network starts from.
struct PhotoExperiment {
  CellConfig config;
  std::string weights;              ///< safetensors file for the baseline; empty: random ones
  std::int64_t test_above = 0;      ///< as datasets::FolderOptions
  std::vector<std::string> freeze;  ///< globs of parameters that are not trained
  std::vector<std::pair<std::string, float>> rates;  ///< globs and their share of the learning rate
  RateSchedule schedule = RateSchedule::one_cycle;
  std::int64_t latency_runs = 0;  ///< 0: as measure_latency() chooses
};

/// Copies the tensors of a safetensors file into a bundled model: layers::load_pretrained(), for a checkpoint
/// of a training too.
void load_start(layers::Module& model, const std::string& name, const std::string& file);

/// The cell's file, as find_cell(). What was made with other photos or from another start, the checkpoint of
/// the baseline included, is an error too.
Cell find_photo_cell(const PhotoExperiment& experiment, const ResultFolder& folder);

/// Trains, deploys, measures and writes the cell; first, where it is wanted and not there, the baseline. Null
/// when it was interrupted.
Cell run_photo_cell(const PhotoExperiment& experiment, const datasets::Named& data,
                    const ResultFolder& folder, const CellOptions& options);

}  // namespace lathe::experiments
