#pragma once

#include "cell.h"
#include "table.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// The columns of results.csv, in order.
const std::vector<std::string>& result_columns();

/// All columns of all cells; empty where a cell has no such result.
Table result_table(const std::vector<Cell>& cells);

/// Accuracy, size and latency of fp32 and int8 side by side: for a terminal and the head of the report.
Table overview_table(const std::vector<Cell>& cells);

/// A row for each number format of each cell: accuracy, size, latency.
Table variant_table(const std::vector<Cell>& cells);

/// Median, lowest and highest accuracy over the seeds of each base and kind.
Table seed_table(const std::vector<Cell>& cells);

/// results.csv, results.json and report.md in the folder, each written atomically. `command` is shown in the
/// report.
void write_report(const std::vector<Cell>& cells, const ResultFolder& folder, const std::string& command);

}  // namespace lathe::experiments
