#include "method_report.h"

#include "document.h"
#include "figure_planes.h"
#include "figures.h"
#include "method.h"
#include "published.h"
#include "words.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <algorithm>
#include <set>

namespace lathe::experiments {
namespace {

constexpr double kKilobyte = 1024;

std::string dataset_of(const Cell& cell) { return cell["config"].value("dataset", "?"); }
bool is_generated(const Cell& cell) { return cell.value("generated_data", false); }

/// Files that are larger than that of the unoptimised model by the same method.
std::string grown(const std::vector<MethodResult>& results) {
  std::string names;
  for (const MethodResult& result : results)
    for (const MethodResult& plain : results)
      if (plain.optimisation == "none" && plain.method == result.method && *result.bytes > *plain.bytes &&
          result.method != "checkpoint")
        names += fmt::format("{}{} {} ({:+.1f} %)", names.empty() ? "" : ", ", result.optimisation,
                             result.method, 100 * (*result.bytes / *plain.bytes - 1));
  return names.empty() ? "none" : names;
}

PlanePoint point(double kilobytes, double accuracy, const char* series, std::string_view name) {
  return {.x = kilobytes,
          .y = 100 * accuracy,
          .low = 100 * accuracy,
          .high = 100 * accuracy,
          .series = series,
          .label = std::string(name),
          .hover = fmt::format("{}, {}: {} %, {:.2f} KB", series, name, percent(accuracy), kilobytes)};
}

/// Accuracy against bytes of the uint8 files, with the published ones where they can be compared.
Figure size_figure(const std::vector<MethodResult>& results, bool published) {
  std::vector<PlanePoint> points;
  for (const MethodResult& result : results)
    if (result.method == "uint8")
      points.push_back(point(*result.bytes / kKilobyte, *result.accuracy, "lathe", result.optimisation));
  for (PlanePoint& each : points)
    each.front = std::ranges::none_of(points, [&](const PlanePoint& other) {
      return (other.x < each.x && other.y >= each.y) || (other.x <= each.x && other.y > each.y);
    });
  if (published)
    for (const PublishedMethod& other : published_methods())
      if (other.method == "uint8")
        points.push_back(point(other.kilobytes, other.accuracy, "published", other.optimisation));
  return plane_figure(
      {"accuracy-size",
       "Accuracy of the uint8 files against their size: up and to the left is better. The line "
       "is the front. The scale of accuracy is logarithmic in the error.",
       "uint8 file, KB", "test accuracy, %"},
      std::move(points));
}

Table csv_table(const std::vector<MethodResult>& results) {
  Table table{{"optimisation", "method", "accuracy", "total_ms", "bytes"}, {}};
  for (const MethodResult& result : results)
    table.rows.push_back({result.optimisation, result.method, fmt::format("{}", *result.accuracy),
                          fmt::format("{:.3f}", *result.total_ms), fmt::format("{}", *result.bytes)});
  return table;
}

Document document_of(const std::vector<Cell>& cells, const std::vector<MethodResult>& results,
                     const std::string& command, std::vector<FigureBlock> figures) {
  const Cell& first = cells[0];
  const std::string dataset = dataset_of(first);
  const bool generated = is_generated(first), comparable = dataset == "mnist" && !generated;
  Document document{.title = "Optimisations by methods on " + dataset, .sections = {}};

  Section made{"What was run", {}};
  if (generated)
    made.blocks.emplace_back(
        Warning{"The images are generated, not real: these figures say nothing about real data."});
  std::set<std::uint64_t> seeds;
  for (const Cell& cell : cells) seeds.insert(cell["config"].value("seed", std::uint64_t{0}));
  const Cell machine = first.value("environment", Cell::object());
  made.blocks.emplace_back(Paragraph{fmt::format(
      "The tutorial model, {} epochs for each training in {}, batch {}, {} seed{}, measured on {} at {}.",
      first["config"].value("epochs", 0), first["config"].value("precision", "f32"),
      first["config"].value("batch", 0), seeds.size(), seeds.size() == 1 ? "" : "s",
      machine.value("processor", "an unknown processor"), machine.value("time", "an unknown time"))});
  made.blocks.emplace_back(Commands{command});
  document.sections.push_back(std::move(made));

  Section table{"Optimisations by methods", {}};
  table.blocks.emplace_back(Paragraph{
      "Accuracy of the test set in percent / milliseconds for all its images one by one / KB of the "
      "file, medians over the seeds. checkpoint is the module in batches of 32."});
  table.blocks.emplace_back(TableBlock{"A row for each optimisation, a column for each method",
                                       method_table(results), false, true});
  table.blocks.emplace_back(
      Paragraph{"Files larger than that of none by the same method: " + grown(results) + "."});
  for (FigureBlock& figure : figures)
    if (!figure.svg.empty()) table.blocks.emplace_back(std::move(figure));
  document.sections.push_back(std::move(table));

  if (comparable) {
    Section beside{"Beside the published figures", {}};
    std::vector<std::string> behind;
    const Table published = published_method_table(results, behind);
    std::string names;
    for (const std::string& each : behind) names += (names.empty() ? "" : ", ") + each;
    beside.blocks.emplace_back(
        TableBlock{"Ours and the published ones; a positive difference is in our favour", published});
    beside.blocks.emplace_back(
        Paragraph{"Less accurate or larger than published: " + (names.empty() ? "none" : names) + "."});
    document.sections.push_back(std::move(beside));
  }
  return document;
}

}  // namespace

std::vector<std::string> write_method_report(const std::vector<Cell>& cells, const ResultFolder& folder,
                                             const std::string& command) {
  const std::vector<MethodResult> results = method_results(cells);
  check(!results.empty(), "report: {} has no cell of a known optimisation", folder.root.string());
  const bool published = dataset_of(cells[0]) == "mnist" && !is_generated(cells[0]);
  std::vector<std::string> missing;
  const Document document =
      document_of(cells, results, command, draw_figures({size_figure(results, published)}, folder, missing));
  write_file(folder.root / "results.csv", to_csv(csv_table(results)));
  write_file(folder.root / "results.json", Cell(cells).dump(2) + "\n");
  write_file(folder.root / "report.md", to_markdown(document));
  write_file(folder.root / "report.html", to_html(document));
  return missing;
}

}  // namespace lathe::experiments
