#pragma once

#include "cell.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::experiments {

/// A cell as a report reads it.
struct Row {
  std::string id, base, kind;
  std::string error;  ///< why the experiment failed; empty: it did not
  Cell cell;

  /// A result; empty when it is missing or not finite.
  std::optional<double> number(std::string_view column) const;
};

/// A result folder, read. What cannot be read is left out and named in `problems`, one line each.
struct Results {
  std::string name;  ///< the folder as it was given
  ResultFolder folder;
  std::vector<Row> rows;  ///< by base, kind and seed; those that failed included
  std::vector<std::string> problems;
};

/// An experiment without a result, and why.
struct Failure {
  std::string id, reason;
};

/// Adds what failed to failed.json, so that a report made later names it, and takes out what has a result by
/// now. The file is there while it names any.
void write_failures(const ResultFolder& folder, const std::vector<Failure>& failures);

Row make_row(const Cell& cell);

/// The cells, and of failed.json those that have none by now. Throws Error when there is no such folder or it
/// has no cells.
Results read_results(const std::filesystem::path& root);

/// The number formats that any of the rows has results of: float, fp16, dynamic, int8, int16x8, then others
/// by name.
std::vector<std::string> variants_of(const std::vector<Row>& rows);

/// Over the seeds of one base and kind.
struct Statistic {
  std::size_t count = 0;
  double mean = 0;
  double deviation = 0;  ///< of a sample (n - 1); 0 for one value
  double median = 0, lowest = 0, highest = 0;
};

/// `values` must not be empty.
Statistic statistic(std::vector<double> values);

/// What was measured of one base and kind, over its seeds. Borrows the rows.
struct Group {
  std::string base, kind;
  std::vector<const Row*> rows;

  std::string name() const { return base + " " + kind; }
  std::optional<Statistic> over_seeds(std::string_view column) const;
  /// The mean; of times the median over the seeds, because other work on the machine only ever adds to them.
  std::optional<double> number(std::string_view column) const;
};

/// Rows that did not fail, by base and kind: bases by name, each with its baseline first, then single passes,
/// then combinations.
std::vector<Group> group_rows(const std::vector<Row>& rows);

/// Indices of the points that no other one beats: none is at most as costly and more accurate, or cheaper and
/// at least as accurate. By rising cost; of equal points the first.
struct CostAndAccuracy {
  double cost = 0, accuracy = 0;
};
std::vector<std::size_t> pareto_front(const std::vector<CostAndAccuracy>& points);

}  // namespace lathe::experiments
