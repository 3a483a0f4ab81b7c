#pragma once

#include "rows.h"

#include <lathe/datasets/dataset.h>

#include <string>
#include <vector>

namespace lathe::experiments {

struct PhotoReport {
  std::string command;
  std::string dataset;
  const datasets::Named* data = nullptr;
};

/// Writes study.md and study.html into the folder: stages, variants, totals of parameters, memory, sheets of
/// test photos with what the most accurate int8 file says of them, what was left out. Returns what is
/// missing, a line each.
std::vector<std::string> write_photo_report(const ResultFolder& folder, const std::vector<Row>& rows,
                                            const PhotoReport& report);

}  // namespace lathe::experiments
