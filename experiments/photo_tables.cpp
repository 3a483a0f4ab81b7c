#include "photo_tables.h"

#include "words.h"

#include <lathe/base/io.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>

#include <utility>

namespace lathe::experiments {
namespace {

constexpr std::int64_t kCentroids = 16;

std::string number(const Row& row, const char* column, std::string (*format)(double)) {
  const auto value = row.number(column);
  return value ? format(*value) : "";
}

std::string milliseconds(double ms) { return fmt::format("{:.2f}", ms); }

}  // namespace

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
       row("cluster, 16", totals.clustered, own.all),
       row("quantization-aware, linear layers of the head", totals.quantized_dense, own.all)}};
}

PublishedTotals published_totals(layers::Module& model) {
  PublishedTotals totals;
  totals.base = totals.pruned_dense = totals.clustered = totals.quantized_dense =
      layers::count_parameters(model).all;
  bool after_dropout = false;
  for (const auto& [path, layer] : model.modules()) {
    const bool dropped = std::exchange(after_dropout, layer->type() == "Dropout");
    const auto* linear = dynamic_cast<const layers::Linear*>(layer);
    const auto* conv = dynamic_cast<const layers::Conv2d*>(layer);
    if (linear == nullptr && conv == nullptr) continue;
    const std::int64_t weights = (linear != nullptr ? linear->weight : conv->weight).master().size();
    if (linear != nullptr && path.starts_with("classifier.")) {
      totals.pruned_dense += weights + 2;
      totals.quantized_dense += 1 + 2 * 2 + (dropped ? 1 : 0);
    }
    totals.clustered += weights + kCentroids;
  }
  return totals;
}

Table variant_table(const std::vector<Row>& rows) {
  Table table{{"stage", "variant", "accuracy %", "bytes", "fp32 baseline / bytes", "median ms",
               "90th percentile ms", "arena bytes"},
              {}};
  const auto first = std::ranges::find(rows, "baseline", &Row::kind);
  const auto baseline = first == rows.end() ? std::nullopt : first->number("float_bytes");
  for (const Row& row : rows)
    for (const std::string& variant : variants_of(rows)) {
      const auto value = [&](const char* column, std::string (*format)(double)) {
        return number(row, (variant + column).c_str(), format);
      };
      const auto bytes = row.number(variant + "_bytes");
      table.rows.push_back({row.kind, variant, value("_acc", percent), value("_bytes", with_commas),
                            bytes && baseline ? fmt::format("{:.2f}", *baseline / *bytes) : "",
                            value("_median_ms", milliseconds), value("_p90_ms", milliseconds),
                            value("_arena_bytes", with_commas)});
    }
  return table;
}

Table memory_table(const std::vector<Row>& rows) {
  Table table{{"stage", "batch", "most bytes of tensors in training"}, {}};
  for (const Row& row : rows)
    if (const auto bytes = row.cell.find("training_tensor_bytes");
        bytes != row.cell.end() && bytes->is_number())
      table.rows.push_back({row.kind, fmt::format("{}", row.cell["config"].value("batch", 0)),
                            with_commas(bytes->get<double>())});
  return table;
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

}  // namespace lathe::experiments
