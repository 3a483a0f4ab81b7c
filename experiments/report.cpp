#include "report.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <algorithm>
#include <map>

namespace lathe::experiments {
namespace {

/// What is deployed of each model, as columns begin.
constexpr const char* kVariants[] = {"float", "fp16", "dynamic", "int8", "int16x8"};

/// A result as text: whole numbers as they are, others with six significant digits, missing ones empty.
std::string text_of(const Cell& cell, const std::string& column) {
  const Cell& results = cell["results"];
  if (!results.contains(column) || results[column].is_null()) return "";
  const Cell& value = results[column];
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? fmt::format("{:.6g}", value.get<double>()) : value.dump();
}

/// A number out of a result, formatted; empty when it is missing.
template <typename Format>
std::string formatted(const Cell& cell, const std::string& column, const Format& format) {
  const Cell& results = cell["results"];
  return results.contains(column) && results[column].is_number() ? format(results[column].get<double>()) : "";
}

std::string percent(double share) { return fmt::format("{:.2f}", 100 * share); }
std::string microseconds(double ms) { return fmt::format("{:.2f}", 1000 * ms); }
std::string whole(double number) { return fmt::format("{:.0f}", number); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool any_generated(const std::vector<Cell>& cells) {
  return std::ranges::any_of(cells, [](const Cell& cell) { return cell.value("generated_data", false); });
}

}  // namespace

const std::vector<std::string>& result_columns() {
  static const std::vector<std::string> kColumns = [] {
    std::vector<std::string> columns = {"exp_id",
                                        "base",
                                        "kind",
                                        "seed",
                                        "epochs",
                                        "batch",
                                        "test_acc",
                                        "params",
                                        "flops",
                                        "sparsity",
                                        "prunable_sparsity",
                                        "unique_weights",
                                        "checkpoint_bytes"};
    for (const char* variant : kVariants)
      for (const char* what : {"bytes", "gz_bytes", "acc", "median_ms", "mean_ms", "p90_ms", "p99_ms",
                               "min_ms", "max_ms", "runs", "arena_bytes"})
        columns.push_back(fmt::format("{}_{}", variant, what));
    columns.insert(columns.end(),
                   {"acc_drop_int8", "size_ratio_int8", "checkpoint_ratio_int8", "train_seconds"});
    return columns;
  }();
  return kColumns;
}

Table result_table(const std::vector<Cell>& cells) {
  Table table{result_columns(), {}};
  for (const Cell& cell : cells) {
    std::vector<std::string> row;
    for (const std::string& column : result_columns()) row.push_back(text_of(cell, column));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table overview_table(const std::vector<Cell>& cells) {
  Table table{{"experiment", "params", "fp32 acc %", "int8 acc %", "fp32 bytes", "int8 bytes", "fp32 us",
               "int8 us", "int8 p90 us"},
              {}};
  for (const Cell& cell : cells)
    table.rows.push_back(
        {text_of(cell, "exp_id"), text_of(cell, "params"), formatted(cell, "float_acc", percent),
         formatted(cell, "int8_acc", percent), formatted(cell, "float_bytes", whole),
         formatted(cell, "int8_bytes", whole), formatted(cell, "float_median_ms", microseconds),
         formatted(cell, "int8_median_ms", microseconds), formatted(cell, "int8_p90_ms", microseconds)});
  return table;
}

Table variant_table(const std::vector<Cell>& cells) {
  Table table{{"experiment", "variant", "acc %", "bytes", "gzip bytes", "us", "p90 us", "arena bytes"}, {}};
  for (const Cell& cell : cells)
    for (const std::string variant : kVariants) {
      if (text_of(cell, variant + "_bytes").empty()) continue;
      table.rows.push_back({text_of(cell, "exp_id"), variant, formatted(cell, variant + "_acc", percent),
                            text_of(cell, variant + "_bytes"), text_of(cell, variant + "_gz_bytes"),
                            formatted(cell, variant + "_median_ms", microseconds),
                            formatted(cell, variant + "_p90_ms", microseconds),
                            text_of(cell, variant + "_arena_bytes")});
    }
  return table;
}

Table seed_table(const std::vector<Cell>& cells) {
  struct Accuracies {
    std::vector<double> fp32, int8;
  };
  std::map<std::pair<std::string, std::string>, Accuracies> groups;
  for (const Cell& cell : cells) {
    const Cell& results = cell["results"];
    if (!results.contains("float_acc") || !results.contains("int8_acc")) continue;
    auto& group = groups[{text_of(cell, "base"), text_of(cell, "kind")}];
    group.fp32.push_back(results["float_acc"]);
    group.int8.push_back(results["int8_acc"]);
  }
  Table table{
      {"base", "kind", "seeds", "fp32 median %", "lowest", "highest", "int8 median %", "lowest", "highest"},
      {}};
  for (const auto& [name, group] : groups)
    table.rows.push_back({name.first, name.second, std::to_string(group.fp32.size()),
                          percent(median(group.fp32)), percent(std::ranges::min(group.fp32)),
                          percent(std::ranges::max(group.fp32)), percent(median(group.int8)),
                          percent(std::ranges::min(group.int8)), percent(std::ranges::max(group.int8))});
  return table;
}

void write_report(const std::vector<Cell>& cells, const ResultFolder& folder, const std::string& command) {
  check(!cells.empty(), "report: there are no results in {}", folder.root.string());
  write_file(folder.root / "results.csv", to_csv(result_table(cells)));
  write_file(folder.root / "results.json", Cell(cells).dump(2) + "\n");

  const Cell& config = cells.front()["config"];
  const Cell& environment = cells.front()["environment"];
  std::string text = fmt::format("# Results on {}\n\n", config.value("dataset", "?"));
  if (any_generated(cells))
    text +=
        "**The images are generated (synthetic-digits), not MNIST: these figures say nothing about real "
        "data.**\n\n";
  text += fmt::format("Made by `{}`\n\n", command);
  text += fmt::format(
      "Measured on {} ({} cores; {} threads for training, one for latency), kernels for {}, lathe {}, "
      "{}.\n\n",
      environment.value("processor", "?"), environment.value("cores", 0),
      environment.value("training_threads", 0), environment.value("kernel_level", "?"),
      environment.value("lathe", "?"), environment.value("time", "?"));
  text +=
      "Accuracy is that of the whole test set through the deployed file; bytes are of that file as it runs; "
      "latency is the median of "
      "repeated single runs at batch 1.\n\n";
  text += "## Overview\n\n" + to_markdown(overview_table(cells));
  text += "\n## Variants\n\n" + to_markdown(variant_table(cells));
  text += "\n## Over the seeds\n\n" + to_markdown(seed_table(cells));
  text += "\nAll columns are in `results.csv` and `results.json`; the models are in `models/`.\n";
  write_file(folder.root / "report.md", text);
}

}  // namespace lathe::experiments
