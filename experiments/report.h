#pragma once

#include "document.h"
#include "report_tables.h"
#include "rows.h"

#include <filesystem>
#include <string>
#include <vector>

namespace lathe::experiments {

struct ReportOptions {
  std::string command;  ///< that makes the report; shown where a cell does not say what made it
  bool figures =
      true;  ///< draw them (seconds); else those that are there stay as they are, and the report has none
};

/// results.csv, results.json, report.md, report.html and figures/ in the run's folder, each file written
/// atomically. Returns what is missing in it, a line each: why there are no figures, what could not be read.
std::vector<std::string> write_report(const Results& run, const ReportOptions& options);

/// The same from the folder's cells, as the grid goes on.
std::vector<std::string> write_report(const ResultFolder& folder, const ReportOptions& options);

/// Several runs side by side.
Document comparison(const std::vector<Results>& runs);

}  // namespace lathe::experiments
