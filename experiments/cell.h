#pragma once

#include "measure.h"

#include <lathe/core/precision.h>
#include <lathe/datasets/dataset.h>

#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace lathe::experiments {

/// One experiment of a grid: a model, what is done to it, and a seed.
struct CellConfig {
  std::string base;
  std::string kind;  ///< as to_string(Kind) writes it
  std::uint64_t seed = 0;
  std::string dataset;
  std::int64_t epochs = 10;
  std::int64_t batch = 128;
  std::int64_t train_limit = 0;          ///< use only so many training images; 0: all
  Precision precision = Precision::f32;  ///< of training

  std::string id() const;  ///< "conv_baseline_s0"
};

/// A folder of results and what lies where in it.
struct ResultFolder {
  std::filesystem::path root;

  std::filesystem::path cell(const std::string& id) const { return root / "cells" / (id + ".json"); }
  std::filesystem::path checkpoint(const std::string& id) const {
    return root / "checkpoints" / (id + ".safetensors");
  }
  /// The weights of a trained model by themselves, where they are kept.
  std::filesystem::path weights(const std::string& id) const {
    return root / "models" / (id + ".safetensors");
  }
  std::filesystem::path best_weights(const std::string& id) const {
    return root / "checkpoints" / (id + ".best.safetensors");
  }
  std::filesystem::path history(const std::string& id) const { return root / "history" / (id + ".csv"); }
  std::filesystem::path layer_history(const std::string& id) const {
    return root / "history" / (id + ".layers.json");
  }
  std::filesystem::path model(const std::string& id, const std::string& variant) const {
    return root / "models" / (id + "." + variant + ".lathe");
  }
};

/// A finished cell: {"config": ..., "environment": ..., "results": {column: number}, "details": {variant:
/// {"layers": [...], "confusion": [[...]]}}}; the details are in detail.h.
using Cell = nlohmann::ordered_json;

/// The cell's file if it is there and was made with this configuration; null if it is not there. Throws Error
/// when it was made with another configuration or is damaged.
Cell find_cell(const CellConfig& config, const ResultFolder& folder);

/// All cells of a folder, by name. Throws Error naming a damaged file.
std::vector<Cell> read_cells(const ResultFolder& folder);

struct CellOptions {
  bool quiet = false;
  int training_threads = 0;           ///< 0: num_threads()
  std::string title;                  ///< in front of progress lines
  std::string command;                ///< what is kept in the cell as its maker
  std::filesystem::path tensorboard;  ///< folder for event files, one folder in it by cell; empty: none
  std::FILE* status = nullptr;        ///< where status lines of the training go (training_status.h)
  const std::atomic<bool>* interrupt = nullptr;
};

/// A cell that says what it is of and where it was made, still without results.
Cell make_cell(const CellConfig& config, const datasets::Named& data, const CellOptions& options);

/// Trains (going on from the cell's checkpoint when there is one), deploys every variant, measures each
/// through its file, writes the cell. Returns null when it was interrupted.
Cell run_cell(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
              const CellOptions& options);

}  // namespace lathe::experiments
