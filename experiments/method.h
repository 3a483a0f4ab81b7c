#pragma once

#include "cell.h"
#include "method_tables.h"

#include <lathe/datasets/dataset.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::experiments {

/// The table of optimisations by methods: the `tutorial` model, each optimisation a training of its own that
/// goes on from an earlier one, each result run by every method.

/// The optimisations, each after the one it starts from: none, prune, quantize, cluster, cluster_qat, ...
std::vector<std::string> optimisations();
/// What it starts from; empty for "none". Throws Error when there is no such optimisation.
std::string optimised_from(std::string_view optimisation);

/// The cell of an optimisation: its kind is the name of the optimisation.
CellConfig optimisation_cell(const std::string& optimisation, std::uint64_t seed, const std::string& dataset,
                             std::int64_t epochs, std::int64_t batch);

/// The plain passes that it trains with, for an estimate of the time.
CellConfig like_grid(CellConfig config);

/// Trains the optimisation of a cell and first, where they are not there, those it starts from. False when it
/// was interrupted.
bool train_optimisation(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
                        const CellOptions& options);

/// Trains it if that was not done, runs it by every method, writes the cell: "results" is {method:
/// {"accuracy", "total_ms", "bytes"}}. Null when it was interrupted.
Cell run_optimisation(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
                      const CellOptions& options);

/// Is it one of those, and not one of a grid?
bool is_method_cell(const Cell& cell);

/// The medians over the seeds, by optimisation and method. Throws Error when a cell is
/// damaged.
std::vector<MethodResult> method_results(const std::vector<Cell>& cells);

}  // namespace lathe::experiments
