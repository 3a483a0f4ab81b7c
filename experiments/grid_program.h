#pragma once

#include "cell.h"
#include "program.h"

#include <CLI/CLI.hpp>

#include <cstdint>
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

/// "lathe-mnist-report --quick": the command line as it is kept in the results.
std::string command_line(const std::string& program, int argc, char** argv);

}  // namespace lathe::experiments
