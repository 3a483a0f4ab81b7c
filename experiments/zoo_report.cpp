#include "zoo_report.h"

#include "document.h"
#include "machine.h"
#include "words.h"

#include <lathe/base/io.h>
#include <lathe/base/parallel.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

constexpr double kMegabyte = 1e6;

/// A published figure of a variant; none where none is published.
struct Published {
  std::optional<double> accuracy, ms, megabytes;
};

Published published_of(const ZooResult& result) {
  const PublishedNetwork* network = find_published_network(result.model);
  if (network == nullptr) return {};
  if (result.variant == "float") return {network->accuracy, network->ms, network->megabytes};
  if (result.variant == "int8") return {network->int8_accuracy, network->int8_ms, network->int8_megabytes};
  if (!network->qat_ms) return {};
  return {network->qat_accuracy, network->qat_ms, network->int8_megabytes};
}

const ZooResult* float_of(const std::vector<ZooResult>& results, const ZooResult& result) {
  const auto found = std::ranges::find_if(results, [&](const ZooResult& other) {
    return other.model == result.model && other.variant == "float";
  });
  return found == results.end() ? nullptr : &*found;
}

std::string number(const std::optional<double>& value, int digits) {
  return value ? fmt::format("{:.{}f}", *value, digits) : "";
}

std::string percent_or_nothing(const std::optional<double>& share) { return share ? percent(*share) : ""; }

std::optional<double> ratio(const std::optional<double>& a, const std::optional<double>& b) {
  return a && b && *b > 0 ? std::optional(*a / *b) : std::nullopt;
}

/// How a variant compares to float, here or as published.
struct Ratios {
  std::optional<double> bytes, ms;
};

Ratios own_ratios(const std::vector<ZooResult>& results, const ZooResult& result) {
  const ZooResult* real = float_of(results, result);
  if (real == nullptr || real == &result) return {};
  return {ratio(static_cast<double>(result.bytes), static_cast<double>(real->bytes)),
          ratio(result.latency.median_ms, real->latency.median_ms)};
}

Ratios published_ratios(const ZooResult& result) {
  if (result.variant == "float") return {};
  const Published one = published_of(result),
                  real = published_of({.model = result.model, .variant = "float"});
  return {ratio(one.megabytes, real.megabytes), ratio(one.ms, real.ms)};
}

Document document_of(const std::vector<ZooResult>& results, const ZooReport& report) {
  Document document{.title = "Large networks: size and latency", .sections = {}};
  Section made{"What was run", {}};
  if (report.generated)
    made.blocks.emplace_back(
        Warning{report.dataset + " is generated: ranges come from pictures, not photos."});
  for (const std::string& remark : report.remarks) made.blocks.emplace_back(Warning{remark});
  const auto machine = describe_machine(num_threads());
  made.blocks.emplace_back(Paragraph{fmt::format(
      "Latency of one image on one thread, median, measured on {} at {}.",
      machine.value("processor", "an unknown processor"), machine.value("time", "an unknown time"))});
  made.blocks.emplace_back(Commands{report.command});
  document.sections.push_back(std::move(made));
  Section table{"Beside the published figures", {}};
  table.blocks.emplace_back(TableBlock{"Ours and the published ones", zoo_table(results), false, true});
  table.blocks.emplace_back(
      Paragraph{"float: fp32. int8: quantized after training. qat: int8 with quantization-aware training. MB "
                "are millions of bytes; the published latencies are those of one big core of a Pixel 2, so "
                "that only ratios to float can be compared. Published: TensorFlow Lite's guide to model "
                "optimization."});
  document.sections.push_back(std::move(table));
  return document;
}

}  // namespace

Table zoo_table(const std::vector<ZooResult>& results) {
  Table table{{"network", "variant", "MB", "published", "ms", "published ms", "size / float",
               "published size", "time / float", "published time", "accuracy %", "published %"},
              {}};
  for (const ZooResult& result : results) {
    const Published published = published_of(result);
    const Ratios own = own_ratios(results, result), theirs = published_ratios(result);
    table.rows.push_back({std::string(find_zoo_network(result.model).title), result.variant,
                          number(static_cast<double>(result.bytes) / kMegabyte, 2),
                          number(published.megabytes, 1), number(result.latency.median_ms, 2),
                          number(published.ms, 0), number(own.bytes, 3), number(theirs.bytes, 3),
                          number(own.ms, 2), number(theirs.ms, 2), percent_or_nothing(result.accuracy),
                          percent_or_nothing(published.accuracy)});
  }
  return table;
}

Table zoo_csv(const std::vector<ZooResult>& results) {
  Table table{{"model",
               "variant",
               "parameters",
               "bytes",
               "published_bytes",
               "median_ms",
               "mean_ms",
               "p90_ms",
               "p99_ms",
               "min_ms",
               "max_ms",
               "runs",
               "published_ms",
               "size_ratio",
               "published_size_ratio",
               "time_ratio",
               "published_time_ratio",
               "arena_bytes",
               "accuracy",
               "published_accuracy"},
              {}};
  for (const ZooResult& result : results) {
    const Published published = published_of(result);
    const Ratios own = own_ratios(results, result), theirs = published_ratios(result);
    const Latency& latency = result.latency;
    table.rows.push_back({result.model,
                          result.variant,
                          std::to_string(result.parameters),
                          std::to_string(result.bytes),
                          published.megabytes ? number(*published.megabytes * kMegabyte, 0) : "",
                          number(latency.median_ms, 4),
                          number(latency.mean_ms, 4),
                          number(latency.p90_ms, 4),
                          number(latency.p99_ms, 4),
                          number(latency.min_ms, 4),
                          number(latency.max_ms, 4),
                          std::to_string(latency.runs),
                          number(published.ms, 0),
                          number(own.bytes, 4),
                          number(theirs.bytes, 4),
                          number(own.ms, 4),
                          number(theirs.ms, 4),
                          std::to_string(result.arena_bytes),
                          number(result.accuracy, 4),
                          number(published.accuracy, 3)});
  }
  return table;
}

void write_zoo(const std::vector<ZooResult>& results, const ZooReport& report,
               const std::filesystem::path& folder) {
  const Document document = document_of(results, report);
  write_file(folder / "zoo.csv", to_csv(zoo_csv(results)));
  write_file(folder / "zoo.md", to_markdown(document));
  write_file(folder / "zoo.html", to_html(document));
}

}  // namespace lathe::experiments
