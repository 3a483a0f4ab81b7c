#pragma once

#include "guide.h"
#include "rows.h"
#include "table.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// The tables of a report: seen on the terminal, in Markdown and on a page. Figures over several seeds are
/// the mean, with ± the standard deviation; times are the median over the seeds. A dash: not measured.

/// The columns of results.csv, in order.
const std::vector<std::string>& result_columns();
/// All columns of all rows; empty where a row has no such result.
Table result_table(const std::vector<Row>& rows);
/// Accuracy, size and latency of fp32 and int8 of each experiment: for a terminal.
Table overview_table(const std::vector<Row>& rows);

/// One row for each base and kind: what it is and what it costs.
Table group_table(const std::vector<Group>& groups);
/// fp32 against int8: accuracy, bytes, time, and what int8 gains.
Table int8_table(const std::vector<Group>& groups);
/// All that was measured of one number format, a row for each experiment that has it.
Table variant_table(const std::vector<Row>& rows, const std::string& variant);
/// Training: parameters, sparsity, values, seconds.
Table training_table(const std::vector<Row>& rows);
/// Mean, standard deviation, median, lowest and highest accuracy over the seeds of each base and kind.
Table seed_table(const std::vector<Group>& groups);
/// Ours beside the published grid, for the rows that both have. What stays behind is added to `behind`.
Table published_table(const std::vector<Group>& groups, std::vector<std::string>& behind);

/// A point of the plane of cost and accuracy: a base and kind as one number format.
struct Deployed {
  const Group* group = nullptr;
  std::string variant;
  double accuracy = 0, cost = 0;

  std::string name() const { return group->name() + " " + variant; }
};
/// All of `variants` that have an accuracy and `cost` ("median_ms", "bytes").
std::vector<Deployed> deployed(const std::vector<Group>& groups, const std::vector<std::string>& variants,
                               const std::string& cost);
/// Those on the front, by rising cost.
std::vector<Deployed> front_of(const std::vector<Deployed>& points);
Table front_table(const std::vector<Deployed>& front, const std::string& cost);

/// Time and bytes of every layer of one experiment's variants; empty when they were not recorded.
Table layer_table(const Row& row, const std::vector<std::string>& variants);

/// The same experiments in several runs: a table for one figure, differences against the first run.
struct Comparison {
  std::string title;
  Table table;
};
std::vector<Comparison> compare_runs(const std::vector<Results>& runs);

}  // namespace lathe::experiments
