#include "photo_report.h"

#include "document.h"
#include "figures.h"
#include "photo_tables.h"
#include "predictions.h"
#include "words.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

namespace lathe::experiments {
namespace {

constexpr std::int64_t kSample = 24;
constexpr std::size_t kMostMistakes = 24;

Section about(const PhotoReport& report) {
  Section section{"What was run", {}};
  const datasets::Named& data = *report.data;
  if (data.generated)
    section.blocks.emplace_back(
        Warning{"The pictures are generated, no photos: these figures say nothing about real data."});
  section.blocks.emplace_back(Paragraph{fmt::format("{}: {} photos to train on, {} to test on.",
                                                    report.dataset, data.train->size(), data.test->size())});
  section.blocks.emplace_back(Commands{report.command});
  return section;
}

Section results(const std::vector<Row>& rows) {
  Section section{"Stages", {}};
  section.blocks.emplace_back(
      Paragraph{"Accuracy of the test photos through the deployed file; latency of one photo on one thread. "
                "All others start "
                "from the trained baseline."});
  section.blocks.emplace_back(TableBlock{"A row for each stage", stage_table(rows)});
  section.blocks.emplace_back(TableBlock{"All variants of each stage", variant_table(rows), true});
  return section;
}

Section sizes(const std::vector<Row>& rows) {
  Section section{"Parameters and memory", {}};
  section.blocks.emplace_back(Paragraph{
      "Published totals count what a pass keeps beside the weights: masks, thresholds and counters of pruned "
      "layers, "
      "the index of every weight and the centroids of clustered ones. Nothing of it is in a deployed file."});
  section.blocks.emplace_back(TableBlock{"Parameters", totals_table(rows[0].base), false, true});
  if (Table memory = memory_table(rows); !memory.rows.empty()) {
    section.blocks.emplace_back(
        Paragraph{"Memory of training: weights, gradients, the optimiser's moments, activations of a batch, "
                  "and the calibration "
                  "photos. The bytes of the plans' arenas, all activations of one photo, are among the "
                  "variants above."});
    section.blocks.emplace_back(TableBlock{"Memory", std::move(memory)});
  }
  return section;
}

/// Draws what the most accurate int8 file says of the test photos.
Section predictions(const ResultFolder& folder, const std::vector<Row>& rows, const datasets::Dataset& test,
                    std::vector<std::string>& missing) {
  Section section{"Predictions", {}};
  const std::vector<const Row*> best = best_of_each_base(rows);
  if (best.empty()) return section;
  const std::filesystem::path file = folder.model(best[0]->id, "int8");
  if (!std::filesystem::exists(file)) {
    missing.push_back(fmt::format("no sheets of predictions: {} is not there", file.string()));
    return section;
  }
  const Predictions seen = look_at_predictions(graph::load(file), test, kSample);
  std::vector<Figure> figures{prediction_sheet(
      "predictions", "Test photos drawn at random: class, what was predicted if that is another, confidence.",
      seen.sample, test)};
  const std::span worst(seen.mistakes.data(), std::min(seen.mistakes.size(), kMostMistakes));
  if (!worst.empty())
    figures.push_back(prediction_sheet(
        "mistakes",
        fmt::format("The worst mistakes, {} of {}: class, prediction and how sure the network was of it.",
                    worst.size(), seen.mistakes.size()),
        worst, test));
  section.blocks.emplace_back(Paragraph{
      Text("What ")
          .code(file.filename().string())
          .plain(fmt::format(" says of {} test photos: {} are wrong.", test.size(), seen.mistakes.size()))});
  for (FigureBlock& figure : draw_figures(figures, folder, missing))
    section.blocks.emplace_back(std::move(figure));
  return section;
}

Section left_out(const std::vector<datasets::SkippedFile>& skipped) {
  Section section{fmt::format("Files that are left out: {}", skipped.size()), {}};
  Bullets list;
  for (const datasets::SkippedFile& file : skipped) list.items.emplace_back(file.name + ": " + file.reason);
  section.blocks.emplace_back(std::move(list));
  return section;
}

}  // namespace

std::vector<std::string> write_photo_report(const ResultFolder& folder, const std::vector<Row>& rows,
                                            const PhotoReport& report) {
  std::vector<std::string> missing;
  Document document{.title = rows[0].base + " on " + report.dataset, .sections = {}};
  document.sections.push_back(about(report));
  document.sections.push_back(results(rows));
  document.sections.push_back(sizes(rows));
  document.sections.push_back(predictions(folder, rows, *report.data->test, missing));
  if (!report.data->skipped.empty()) document.sections.push_back(left_out(report.data->skipped));
  write_file(folder.root / "study.md", to_markdown(document));
  write_file(folder.root / "study.html", to_html(document));
  return missing;
}

}  // namespace lathe::experiments
