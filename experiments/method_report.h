#pragma once

#include "cell.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// The report of the table of optimisations by methods out of its cells: results.csv, results.json,
/// report.md, report.html and figures/, each file written atomically. Returns what is missing in it, a line
/// each.
std::vector<std::string> write_method_report(const std::vector<Cell>& cells, const ResultFolder& folder,
                                             const std::string& command);

}  // namespace lathe::experiments
