#pragma once

#include "table.h"
#include "zoo.h"

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::experiments {

/// A row for each network and variant: bytes and latency beside the published ones, and the ratios to float
/// of both.
Table zoo_table(const std::vector<ZooResult>& results);

/// The same as plain numbers, with everything that was measured.
Table zoo_csv(const std::vector<ZooResult>& results);

struct ZooReport {
  std::string command;
  std::string dataset;
  bool generated = false;  ///< the images are
  /// What has to be known to read the figures: random weights, accuracies that are missing.
  std::vector<std::string> remarks;
};

/// Writes zoo.csv, zoo.md and zoo.html into a folder.
void write_zoo(const std::vector<ZooResult>& results, const ZooReport& report,
               const std::filesystem::path& folder);

}  // namespace lathe::experiments
