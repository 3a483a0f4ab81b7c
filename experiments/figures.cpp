#include "figures.h"

#include "figure_bars.h"
#include "figure_planes.h"
#include "figure_training.h"
#include "report_tables.h"
#include "words.h"

#include <lathe/base/parallel.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace lathe::experiments {
namespace {

/// Accuracy of int8 against a cost; the front is drawn.
Figure accuracy_figure(const Plane& plane, const std::vector<Group>& groups, const std::string& cost,
                       double unit, const char* unit_name) {
  const auto points = deployed(groups, {"int8"}, cost);
  const auto front = front_of(points);
  std::vector<PlanePoint> marks;
  for (const Deployed& point : points) {
    const auto seeds = point.group->over_seeds("int8_acc");
    const bool on_front =
        std::ranges::any_of(front, [&](const Deployed& other) { return other.group == point.group; });
    std::string hover =
        fmt::format("{}: {} %, {} {}", point.group->name(), percent(point.accuracy),
                    cost == "median_ms" ? microseconds(point.cost) : with_commas(point.cost), unit_name);
    if (seeds->count > 1)
      hover += fmt::format("; {} seeds, {} to {} %", seeds->count, percent(seeds->lowest),
                           percent(seeds->highest));
    marks.push_back({.x = unit * point.cost,
                     .y = 100 * point.accuracy,
                     .low = 100 * seeds->lowest,
                     .high = 100 * seeds->highest,
                     .series = point.group->base,
                     .label = point.group->kind,
                     .hover = hover,
                     .front = on_front});
  }
  return marks.empty() ? Figure{.name = plane.name} : plane_figure(plane, std::move(marks));
}

Figure drop_figure(const std::vector<Group>& groups) {
  std::vector<PlanePoint> marks;
  for (const Group& group : groups) {
    const auto fp32 = group.number("float_acc"), int8 = group.number("int8_acc"),
               large = group.number("float_bytes"), small = group.number("int8_bytes");
    if (!fp32 || !int8 || !large || !small || *small <= 0) continue;
    const double drop = 100 * (*fp32 - *int8);
    marks.push_back({.x = *large / *small,
                     .y = drop,
                     .low = drop,
                     .high = drop,
                     .series = group.base,
                     .label = group.kind,
                     .hover = fmt::format("{}: {:.2f} times smaller, {:+.2f} points lost", group.name(),
                                          *large / *small, drop)});
  }
  const Plane plane{.name = "drop-ratio",
                    .caption =
                        "What int8 loses against how much smaller the file gets; the file of fp32 is packed "
                        "just as tightly, so what pruning and "
                        "clustering save is in both.",
                    .x_label = "fp32 bytes / int8 bytes",
                    .y_label = "accuracy lost by int8, points",
                    .accuracy = false};
  return marks.empty() ? Figure{.name = plane.name} : plane_figure(plane, std::move(marks));
}

std::vector<Figure> figures_of(const Results& run) {
  const std::vector<Group> groups = group_rows(run.rows);
  const std::vector<std::string> variants = variants_of(run.rows);
  std::vector<Figure> figures;
  const std::string spacing =
      " The scale of accuracy is logarithmic in the error; points are means over the seeds, with lines from "
      "the lowest to the highest.";
  const char* accuracy = "int8 test accuracy, %";
  figures.push_back(accuracy_figure(
      {"accuracy-latency", "int8 accuracy against latency: up and to the left is better." + spacing,
       "int8 latency, µs (median, one image, one thread)", accuracy},
      groups, "median_ms", 1000, "µs"));
  figures.push_back(accuracy_figure(
      {"accuracy-size", "int8 accuracy against the size of the file: up and to the left is better." + spacing,
       "int8 file, bytes", accuracy},
      groups, "bytes", 1, "bytes"));
  figures.push_back(accuracy_figure(
      {"accuracy-params",
       "int8 accuracy against the number of parameters: up and to the left is better." + spacing,
       "parameters", accuracy},
      groups, "params", 1, "parameters"));
  figures.push_back(drop_figure(groups));
  std::set<std::string> bases;
  for (const Group& group : groups)
    if (bases.insert(group.base).second) figures.push_back(latency_figure(group.base, groups, variants));
  for (const Group& group : groups) figures.push_back(curves_figure(group, run.folder));
  for (const Group& group : groups) figures.push_back(sparsity_figure(group, run.folder));
  for (const Group& group : groups) figures.push_back(weights_figure(group, run.folder));
  const auto best = best_of_each_base(run.rows);
  for (const Row* row : best) figures.push_back(layers_figure(*row));
  if (!best.empty()) {
    const auto accuracy_of = [](const Row* row) {
      return row->number("int8_acc").value_or(row->number("float_acc").value_or(-1));
    };
    const Row* first = *std::ranges::max_element(best, {}, accuracy_of);
    figures.push_back(confusion_figure(*first, first->number("int8_acc") ? "int8" : "float"));
  }
  std::erase_if(figures, [](const Figure& figure) { return figure.script.empty(); });
  // Names from outside may fall together once they are names of files.
  std::set<std::string> names;
  for (Figure& figure : figures) {
    const std::string name = figure.name;
    for (int i = 2; !names.insert(figure.name).second; ++i) figure.name = fmt::format("{}-{}", name, i);
  }
  return figures;
}

}  // namespace

std::vector<FigureBlock> draw_figures(const std::vector<Figure>& figures, const ResultFolder& folder,
                                      std::vector<std::string>& missing) {
  const bool gnuplot = has_gnuplot();
  std::vector<Drawing> drawings(figures.size());
  parallel_for(static_cast<std::int64_t>(figures.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) try {
        drawings[i] = draw(figures[i], folder.root / "figures", gnuplot);
      } catch (const std::exception& error) {
        drawings[i].error = error.what();
      }
  });
  if (!gnuplot)
    missing.push_back(fmt::format(
        "report: gnuplot is not installed: {} figures are not drawn; their data and scripts are in {}",
        figures.size(), (folder.root / "figures").string()));
  std::vector<FigureBlock> blocks;
  for (std::size_t i = 0; i < figures.size(); ++i) {
    if (gnuplot && !drawings[i].error.empty())
      missing.push_back(fmt::format("figures/{}: {}", figures[i].name, drawings[i].error));
    blocks.push_back({figures[i].name, figures[i].caption, std::move(drawings[i].svg)});
  }
  return blocks;
}

std::vector<FigureBlock> draw_figures(const Results& run, std::vector<std::string>& missing) {
  return draw_figures(figures_of(run), run.folder, missing);
}

std::vector<const Row*> best_of_each_base(const std::vector<Row>& rows) {
  std::vector<const Row*> best;
  const auto worth = [](const Row& row) {
    return row.number("int8_acc").value_or(row.number("float_acc").value_or(-1));
  };
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    const auto same = std::ranges::find_if(best, [&](const Row* other) { return other->base == row.base; });
    if (same == best.end())
      best.push_back(&row);
    else if (worth(row) > worth(**same))
      *same = &row;
  }
  return best;
}

}  // namespace lathe::experiments
