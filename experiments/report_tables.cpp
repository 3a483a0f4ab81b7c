#include "report_tables.h"

#include "published.h"
#include "words.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

constexpr const char* kDash = "–";
/// What is deployed of each model, as columns begin.
constexpr const char* kVariants[] = {"float", "fp16", "dynamic", "int8", "int16x8"};

/// A result as text: whole numbers as they are, others with six significant digits, missing ones empty.
std::string text_of(const Row& row, const std::string& column) {
  if (column == "exp_id") return row.id;
  if (column == "base") return row.base;
  if (column == "kind") return row.kind;
  const auto results = row.cell.find("results");
  if (results == row.cell.end() || !results->is_object()) return "";
  const auto found = results->find(column);
  if (found == results->end() || found->is_null()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_number_float()) return found->dump();
  return row.number(column) ? significant(*row.number(column)) : "";
}

template <typename Format>
std::string formatted(std::optional<double> value, const Format& format) {
  return value ? format(*value) : kDash;
}

template <typename Format>
std::string formatted(const Row& row, const std::string& column, const Format& format) {
  return formatted(row.number(column), format);
}

std::optional<double> difference(std::optional<double> a, std::optional<double> b) {
  return a && b ? std::optional(*a - *b) : std::nullopt;
}
std::optional<double> quotient(std::optional<double> a, std::optional<double> b) {
  return a && b && *b != 0 ? std::optional(*a / *b) : std::nullopt;
}

std::string times(double ratio) { return fmt::format("{:.2f}x", ratio); }

/// A table that is filled cell by cell, each with what there is to say about it.
class Rows {
 public:
  explicit Rows(std::vector<std::string> header) { table_.header = std::move(header); }
  void begin(std::string name) {
    table_.rows.push_back({std::move(name)});
    table_.hover.emplace_back(1);
  }
  void add(std::string text, std::string hover = {}) {
    table_.rows.back().push_back(std::move(text));
    table_.hover.back().push_back(std::move(hover));
  }
  /// The mean (of times the median) of a group, with its deviation; the seeds' values are what there is to
  /// say.
  template <typename Format>
  void add(const Group& group, const std::string& column, const Format& format, bool deviation = false) {
    const auto seeds = group.over_seeds(column);
    if (!seeds) return add(kDash);
    std::string text = format(*group.number(column)), hover;
    if (seeds->count > 1) {
      if (deviation) text += " ± " + format(seeds->deviation);
      for (const Row* row : group.rows)
        if (const auto value = row->number(column))
          hover += fmt::format("{}{}: {}", hover.empty() ? "" : ", ", row->id, significant(*value));
    }
    add(std::move(text), std::move(hover));
  }
  Table take() { return std::move(table_); }

 private:
  Table table_;
};

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

Table result_table(const std::vector<Row>& rows) {
  Table table{result_columns(), {}};
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    std::vector<std::string> texts;
    for (const std::string& column : result_columns()) texts.push_back(text_of(row, column));
    table.rows.push_back(std::move(texts));
  }
  return table;
}

Table overview_table(const std::vector<Row>& rows) {
  Table table{{"experiment", "params", "fp32 acc %", "int8 acc %", "fp32 bytes", "int8 bytes", "fp32 us",
               "int8 us", "int8 p90 us"},
              {}};
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    table.rows.push_back({row.id, text_of(row, "params"), formatted(row, "float_acc", percent),
                          formatted(row, "int8_acc", percent), text_of(row, "float_bytes"),
                          text_of(row, "int8_bytes"), formatted(row, "float_median_ms", microseconds),
                          formatted(row, "int8_median_ms", microseconds),
                          formatted(row, "int8_p90_ms", microseconds)});
  }
  return table;
}

Table group_table(const std::vector<Group>& groups) {
  Rows rows({"experiment", "seeds", "fp32 %", "int8 %", "parameters", "zeros %", "values", "fp32 bytes",
             "int8 bytes", "fp32 µs", "int8 µs", "training s"});
  for (const Group& group : groups) {
    rows.begin(group.name());
    rows.add(std::to_string(group.rows.size()));
    rows.add(group, "float_acc", percent, true);
    rows.add(group, "int8_acc", percent, true);
    rows.add(group, "params", with_commas);
    rows.add(group, "sparsity", percent);
    rows.add(group, "unique_weights", with_commas);
    rows.add(group, "float_bytes", with_commas);
    rows.add(group, "int8_bytes", with_commas);
    rows.add(group, "float_median_ms", microseconds);
    rows.add(group, "int8_median_ms", microseconds);
    rows.add(group, "train_seconds", with_commas);
  }
  return rows.take();
}

Table int8_table(const std::vector<Group>& groups) {
  Rows rows({"experiment", "fp32 %", "int8 %", "int8 - fp32, points", "fp32 bytes", "int8 bytes", "smaller",
             "checkpoint / int8", "fp32 µs", "int8 µs", "faster"});
  for (const Group& group : groups) {
    if (!group.number("int8_acc") || !group.number("float_acc")) continue;
    rows.begin(group.name());
    rows.add(group, "float_acc", percent);
    rows.add(group, "int8_acc", percent);
    rows.add(formatted(difference(group.number("int8_acc"), group.number("float_acc")), points));
    rows.add(group, "float_bytes", with_commas);
    rows.add(group, "int8_bytes", with_commas);
    rows.add(formatted(quotient(group.number("float_bytes"), group.number("int8_bytes")), times));
    rows.add(formatted(quotient(group.number("checkpoint_bytes"), group.number("int8_bytes")), times));
    rows.add(group, "float_median_ms", microseconds);
    rows.add(group, "int8_median_ms", microseconds);
    rows.add(formatted(quotient(group.number("float_median_ms"), group.number("int8_median_ms")), times));
  }
  return rows.take();
}

Table variant_table(const std::vector<Row>& rows, const std::string& variant) {
  Table table{{"experiment", "acc %", "bytes", "gzip bytes", "median µs", "mean µs", "p90 µs", "p99 µs",
               "min µs", "max µs", "runs", "arena bytes"},
              {}};
  for (const Row& row : rows) {
    if (!row.error.empty() || (!row.number(variant + "_acc") && !row.number(variant + "_bytes"))) continue;
    std::vector<std::string> texts = {row.id, formatted(row, variant + "_acc", percent),
                                      formatted(row, variant + "_bytes", with_commas),
                                      formatted(row, variant + "_gz_bytes", with_commas)};
    for (const char* what : {"_median_ms", "_mean_ms", "_p90_ms", "_p99_ms", "_min_ms", "_max_ms"})
      texts.push_back(formatted(row, variant + what, microseconds));
    texts.push_back(formatted(row, variant + "_runs", with_commas));
    texts.push_back(formatted(row, variant + "_arena_bytes", with_commas));
    table.rows.push_back(std::move(texts));
  }
  return table;
}

Table training_table(const std::vector<Row>& rows) {
  Table table{{"experiment", "epochs", "batch", "test acc %", "parameters", "FLOPs", "zeros %",
               "prunable zeros %", "values", "checkpoint bytes", "training s"},
              {}};
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    table.rows.push_back(
        {row.id, text_of(row, "epochs"), text_of(row, "batch"), formatted(row, "test_acc", percent),
         formatted(row, "params", with_commas), formatted(row, "flops", with_commas),
         formatted(row, "sparsity", percent), formatted(row, "prunable_sparsity", percent),
         formatted(row, "unique_weights", with_commas), formatted(row, "checkpoint_bytes", with_commas),
         formatted(row, "train_seconds", [](double s) { return fmt::format("{:.1f}", s); })});
  }
  return table;
}

Table seed_table(const std::vector<Group>& groups) {
  Table table{{"experiment", "seeds", "fp32 mean %", "± sd", "median", "lowest", "highest", "int8 mean %",
               "± sd", "median", "lowest", "highest"},
              {}};
  for (const Group& group : groups) {
    std::vector<std::string> row = {group.name(), std::to_string(group.rows.size())};
    for (const char* column : {"float_acc", "int8_acc"}) {
      const auto seeds = group.over_seeds(column);
      if (!seeds) {
        row.insert(row.end(), 5, kDash);
        continue;
      }
      row.insert(row.end(),
                 {fmt::format("{:.3f}", 100 * seeds->mean), fmt::format("{:.3f}", 100 * seeds->deviation),
                  percent(seeds->median), percent(seeds->lowest), percent(seeds->highest)});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table published_table(const std::vector<Group>& groups, std::vector<std::string>& behind) {
  Table table{{"experiment", "fp32 %", "published", "points", "int8 %", "published", "points", "int8 bytes",
               "published", "smaller", "int8 µs", "published, other machine", "verdict"},
              {}};
  for (const Group& group : groups) {
    const PublishedCell* published = find_published(group.base, group.kind);
    if (published == nullptr) continue;
    const auto fp32 = group.number("float_acc"), int8 = group.number("int8_acc"),
               bytes = group.number("int8_bytes");
    std::string worse;
    const auto judge = [&](const char* what, bool is_worse) {
      if (is_worse) worse += std::string(worse.empty() ? "" : ", ") + what;
    };
    judge("fp32 accuracy", fp32 && *fp32 < published->accuracy);
    judge("int8 accuracy", int8 && *int8 < published->int8_accuracy);
    judge("int8 bytes", bytes && *bytes > published->int8_bytes);
    // Said, because it is one of the figures; but it compares two machines, so a smaller one proves nothing.
    const auto time = group.number("int8_median_ms");
    judge("int8 latency (of another machine)", time && *time > published->int8_ms);
    const bool complete = fp32 && int8 && bytes;
    if (!worse.empty()) behind.push_back(fmt::format("{}: {}", group.name(), worse));
    table.rows.push_back(
        {group.name(), formatted(fp32, percent), percent(published->accuracy),
         formatted(difference(fp32, published->accuracy), points), formatted(int8, percent),
         percent(published->int8_accuracy), formatted(difference(int8, published->int8_accuracy), points),
         formatted(bytes, with_commas), with_commas(published->int8_bytes),
         formatted(quotient(published->int8_bytes, bytes), times),
         formatted(group.number("int8_median_ms"), microseconds), microseconds(published->int8_ms),
         !worse.empty() ? "behind: " + worse
         : complete     ? "accuracy and bytes better"
                        : "incomplete"});
  }
  return table;
}

std::vector<Deployed> deployed(const std::vector<Group>& groups, const std::vector<std::string>& variants,
                               const std::string& cost) {
  std::vector<Deployed> points;
  for (const Group& group : groups)
    for (const std::string& variant : variants) {
      const auto accuracy = group.number(variant + "_acc");
      const auto value = group.number(cost == "params" ? cost : variant + "_" + cost);
      if (accuracy && value) points.push_back({&group, variant, *accuracy, *value});
    }
  return points;
}

std::vector<Deployed> front_of(const std::vector<Deployed>& points) {
  std::vector<CostAndAccuracy> plane;
  for (const Deployed& point : points) plane.push_back({point.cost, point.accuracy});
  std::vector<Deployed> front;
  for (std::size_t i : pareto_front(plane)) front.push_back(points[i]);
  return front;
}

Table front_table(const std::vector<Deployed>& front, const std::string& cost) {
  const bool time = cost == "median_ms";
  Table table{{"experiment", "variant", time ? "µs" : "bytes", "acc %"}, {}};
  for (const Deployed& point : front)
    table.rows.push_back({point.group->name(), point.variant,
                          time ? microseconds(point.cost) : with_commas(point.cost),
                          percent(point.accuracy)});
  return table;
}

Table layer_table(const Row& row, const std::vector<std::string>& variants) {
  Table table{{"variant", "layer", "operation", "kernel", "µs", "share %", "bytes"}, {}};
  const auto details = row.cell.find("details");
  if (details == row.cell.end() || !details->is_object()) return table;
  for (const std::string& variant : variants) {
    if (!details->contains(variant) || !(*details)[variant].is_object()) continue;
    const Cell layers = (*details)[variant].value("layers", Cell::array());
    double total = 0;
    for (const Cell& layer : layers)
      if (layer.is_object() && layer.contains("us") && layer["us"].is_number())
        total += layer["us"].get<double>();
    for (const Cell& layer : layers) {
      if (!layer.is_object()) continue;
      const auto text = [&](const char* key) {
        return layer.contains(key) && layer[key].is_string() ? layer[key].get<std::string>() : std::string();
      };
      const auto number = [&](const char* key) {
        return layer.contains(key) && layer[key].is_number() ? layer[key].get<double>() : 0.0;
      };
      const bool runs = !text("op").empty();
      table.rows.push_back({variant, text("name"), text("op"), text("kernel"),
                            runs ? fmt::format("{:.2f}", number("us")) : "",
                            runs && total > 0 ? fmt::format("{:.1f}", 100 * number("us") / total) : "",
                            with_commas(number("bytes"))});
    }
  }
  return table;
}

std::vector<Comparison> compare_runs(const std::vector<Results>& runs) {
  std::vector<std::vector<Group>> groups;
  std::vector<Group> all;  // of every base and kind that any run has
  for (const Results& run : runs) {
    groups.push_back(group_rows(run.rows));
    for (const Group& group : groups.back())
      if (std::ranges::none_of(all,
                               [&](const Group& g) { return g.base == group.base && g.kind == group.kind; }))
        all.push_back(group);
  }
  struct Figure {
    const char *title, *column;
    std::string (*format)(double);
    bool ratio;  ///< how runs differ: as a quotient, else in percentage points
  };
  const Figure figures[] = {{"fp32 accuracy, %", "float_acc", percent, false},
                            {"int8 accuracy, %", "int8_acc", percent, false},
                            {"fp32 file, bytes", "float_bytes", with_commas, true},
                            {"int8 file, bytes", "int8_bytes", with_commas, true},
                            {"fp32 latency, µs", "float_median_ms", microseconds, true},
                            {"int8 latency, µs", "int8_median_ms", microseconds, true},
                            {"training, s", "train_seconds", with_commas, true}};
  std::vector<Comparison> result;
  for (const Figure& figure : figures) {
    Table table{{"experiment"}, {}};
    for (std::size_t i = 0; i < runs.size(); ++i) {
      table.header.push_back(runs[i].name);
      if (i > 0) table.header.push_back(figure.ratio ? "/ first" : "- first, points");
    }
    for (const Group& group : all) {
      std::vector<std::string> row = {group.name()};
      std::optional<double> first;
      bool any = false;
      for (std::size_t i = 0; i < runs.size(); ++i) {
        const auto same = std::ranges::find_if(
            groups[i], [&](const Group& g) { return g.base == group.base && g.kind == group.kind; });
        const auto value = same == groups[i].end() ? std::nullopt : same->number(figure.column);
        any = any || value;
        row.push_back(formatted(value, figure.format));
        if (i == 0)
          first = value;
        else
          row.push_back(figure.ratio ? formatted(quotient(value, first), times)
                                     : formatted(difference(value, first), points));
      }
      if (any) table.rows.push_back(std::move(row));
    }
    if (!table.rows.empty()) result.push_back({figure.title, std::move(table)});
  }
  return result;
}

}  // namespace lathe::experiments
