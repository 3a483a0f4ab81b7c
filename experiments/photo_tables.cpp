#include "photo_tables.h"

#include "words.h"

#include <lathe/base/io.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>

namespace lathe::experiments {
namespace {

constexpr std::int64_t kCentroids = 16;

std::string number(const Row& row, const char* column, std::string (*format)(double)) {
  const auto value = row.number(column);
  return value ? format(*value) : "";
}

std::string milliseconds(double ms) { return fmt::format("{:.2f}", ms); }

Table totals_table(const std::string& base) {
  const auto model = layers::find_model(base).make();
  const auto own = layers::count_parameters(*model);
  const PublishedTotals totals = published_totals(*model);
  const auto row = [](const char* what, std::int64_t published, std::int64_t ours) {
    return std::vector<std::string>{what, with_commas(static_cast<double>(published)),
                                    with_commas(static_cast<double>(ours))};
  };
  return {
      {"stage", "numbers kept in training, published way of counting", "parameters of the deployed model"},
      {row("baseline", totals.base, own.all),
       row("prune, linear layers of the head", totals.pruned_dense, own.all),
       row("cluster, 16", totals.clustered, own.all)}};
}

}  // namespace

PublishedTotals published_totals(layers::Module& model) {
  PublishedTotals totals;
  totals.base = totals.pruned_dense = totals.clustered = layers::count_parameters(model).all;
  for (const auto& [path, layer] : model.modules()) {
    const auto* linear = dynamic_cast<const layers::Linear*>(layer);
    const auto* conv = dynamic_cast<const layers::Conv2d*>(layer);
    if (linear == nullptr && conv == nullptr) continue;
    const std::int64_t weights = (linear != nullptr ? linear->weight : conv->weight).master().size();
    if (linear != nullptr && path.starts_with("classifier.")) totals.pruned_dense += weights + 2;
    totals.clustered += weights + kCentroids;
  }
  return totals;
}

Table stage_table(const std::vector<Row>& rows) {
  Table table{{"stage", "fp32 %", "int8 %", "fp32 bytes", "int8 bytes", "fp32 ms", "int8 ms", "sparsity %"},
              {}};
  for (const Row& row : rows)
    table.rows.push_back({row.kind, number(row, "float_acc", percent), number(row, "int8_acc", percent),
                          number(row, "float_bytes", with_commas), number(row, "int8_bytes", with_commas),
                          number(row, "float_median_ms", milliseconds),
                          number(row, "int8_median_ms", milliseconds), number(row, "sparsity", percent)});
  return table;
}

void write_photo_report(const ResultFolder& folder, const std::vector<Row>& rows, const PhotoReport& report) {
  const datasets::Named& data = *report.data;
  const std::string base = rows.empty() ? "" : rows[0].base;
  std::string text = fmt::format("# {} on {}\n\n", base, escape_markdown(report.dataset));
  if (data.generated)
    text += "**The pictures are generated, no photos: these figures say nothing about real data.**\n\n";
  text += fmt::format("Made by {}\n\n{} photos to train on, {} to test on.\n\n",
                      markdown_code(report.command), data.train->size(), data.test->size());
  text += "Accuracy of the test photos through the deployed file; latency of one photo on one thread.\n\n";
  text += to_markdown(stage_table(rows));
  text += "\n## Parameters\n\n" + to_markdown(totals_table(base));
  if (!data.skipped.empty()) {
    text += fmt::format("\n## Files that are left out: {}\n\n", data.skipped.size());
    for (const datasets::SkippedFile& file : data.skipped)
      text += fmt::format("- {}: {}\n", escape_markdown(file.name), escape_markdown(file.reason));
  }
  write_file(folder.root / "study.md", text);
}

}  // namespace lathe::experiments
