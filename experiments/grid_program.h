#pragma once

#include "cell.h"
#include "grid.h"
#include "program.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lathe::experiments {

/// What every program takes that trains and measures a grid of cells.
struct GridArguments {
  CommonOptions common;
  std::string data;
  std::string dataset = "mnist";
  std::vector<std::uint64_t> seeds = {0};
  std::int64_t epochs = 10;
  std::int64_t batch = 128;
  Precision precision = Precision::f32;
  std::string out = "results";
  std::string tensorboard;  ///< folder for event files; empty: none
  bool dry_run = false;
  bool train_only = false;  ///< hidden: what the program starts itself with for each training
};

/// Adds the options; what `arguments` hold are their defaults.
void add_grid_options(CLI::App& app, GridArguments& arguments);

/// How the program starts itself to train one cell, but for what names the cell's model and passes.
std::vector<std::string> worker_arguments(const GridArguments& arguments, const CellConfig& config,
                                          int threads);

/// The trainings of a program and what it does with them.
struct GridWork {
  std::vector<Job> jobs;            ///< without their seconds, which are estimated
  std::vector<CellConfig> configs;  ///< by job
  /// The grid's cell that takes as long to train.
  std::function<CellConfig(const CellConfig&)> like = [](const CellConfig& config) { return config; };
  /// Options that name the model and passes of a cell, for worker_arguments().
  std::function<std::vector<std::string>(const CellConfig&)> worker_options;
  /// Deploys, measures and records a trained job; returns a line on it.
  std::function<std::string(std::size_t job, const CellOptions&)> measure;
  /// Prints and writes the results that are there.
  std::function<void()> report;

  std::size_t place_of(const std::string& id) const;
};

/// Runs the grid (with --dry-run only says what it would do) and returns the exit code. Throws Error when
/// something failed, after the report.
int run_grid_program(GridWork& work, const GridArguments& arguments, const datasets::Named& data,
                     const std::string& command);

/// "lathe-mnist-report --quick": the command line as it is kept in the results, to be given to a shell again.
std::string command_line(const std::string& program, int argc, char** argv);

}  // namespace lathe::experiments
