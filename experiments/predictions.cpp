#include "predictions.h"

#include "measure.h"

#include <lathe/base/random.h>
#include <lathe/runtime/plan.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lathe::experiments {
namespace {

constexpr std::int64_t kTile = 96, kGap = 8, kText = 20, kColumns = 8;  // pixels; of a sheet
constexpr std::int64_t kPitch = kTile + kGap;
constexpr std::int64_t kDrawn = 3;  // values of a pixel that is drawn

/// The class an output speaks for, and how much of it.
Prediction read_output(std::int64_t index, std::span<const float> scores) {
  const auto best = std::ranges::max_element(scores);
  float sum = 0;
  for (const float score : scores) sum += std::exp(score - *best);
  return {
      .index = index, .predicted = static_cast<std::int32_t>(best - scores.begin()), .confidence = 1 / sum};
}

/// An image as kTile x kTile pixels of three bytes: means of the pixels that lie in each.
void append_tile(std::string& bytes, const datasets::Dataset& dataset, std::int64_t index) {
  const Shape shape = dataset.image_shape();
  std::vector<float> image(static_cast<std::size_t>(shape.size()));
  dataset.read(index, image, Rng(0));
  const auto mean = [&](std::int64_t row, std::int64_t column, std::int64_t channel) {
    const auto first = [](std::int64_t tile, std::int64_t pixels) { return tile * pixels / kTile; };
    const auto end = [&](std::int64_t tile, std::int64_t pixels) {
      return std::max(first(tile + 1, pixels), first(tile, pixels) + 1);
    };
    double sum = 0, count = 0;
    for (std::int64_t y = first(row, shape[0]); y < end(row, shape[0]); ++y)
      for (std::int64_t x = first(column, shape[1]); x < end(column, shape[1]); ++x, ++count)
        sum += static_cast<double>(image[static_cast<std::size_t>((y * shape[1] + x) * shape[2] + channel)]);
    return sum / count;
  };
  for (std::int64_t row = 0; row < kTile; ++row)
    for (std::int64_t column = 0; column < kTile; ++column)
      for (std::int64_t channel = 0; channel < kDrawn; ++channel) {
        const double value = mean(row, column, std::min(channel, shape[2] - 1));
        bytes += static_cast<char>(static_cast<unsigned char>(std::clamp(value, 0.0, 1.0) * 255 + 0.5));
      }
}

}  // namespace

Predictions look_at_predictions(const graph::Graph& graph, const datasets::Dataset& dataset,
                                std::int64_t sample) {
  const std::vector<std::int32_t> classes = predict(graph, dataset);
  runtime::Plan plan(graph);
  const auto look = [&](std::int64_t index) {
    fill_input(plan, dataset, index);
    plan.run();
    return read_output(index, plan.output<float>());
  };
  Predictions result;
  std::vector<std::int64_t> order(classes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  Rng rng(0);
  for (std::size_t i = 0; i < order.size() && static_cast<std::int64_t>(i) < sample; ++i) {
    std::swap(order[i], order[i + static_cast<std::size_t>(rng.below(order.size() - i))]);
    result.sample.push_back(look(order[i]));
  }
  for (std::size_t i = 0; i < classes.size(); ++i)
    if (const auto index = static_cast<std::int64_t>(i); classes[i] != dataset.label(index))
      result.mistakes.push_back(look(index));
  std::ranges::stable_sort(result.mistakes, std::ranges::greater{}, &Prediction::confidence);
  return result;
}

Figure prediction_sheet(const std::string& name, const std::string& caption,
                        std::span<const Prediction> predictions, const datasets::Dataset& dataset) {
  const auto count = static_cast<std::int64_t>(predictions.size());
  const std::int64_t columns = std::min(count, kColumns), rows = (count + kColumns - 1) / kColumns;
  const std::int64_t width = columns * kPitch, height = rows * (kPitch + kText);
  Figure figure{.name = name,
                .caption = caption,
                .width = static_cast<int>(width),
                .height = static_cast<int>(height),
                .data = {},
                .script = {}};
  std::string plots;
  for (std::int64_t i = 0; i < count; ++i) {
    const Prediction& each = predictions[static_cast<std::size_t>(i)];
    const std::int64_t x = (i % kColumns) * kPitch + kGap / 2;
    const std::int64_t y = height - (i / kColumns + 1) * (kPitch + kText) + kText + kGap / 2;
    plots += fmt::format(
        "{}'{}.dat' binary array=({},{}) skip={} format='%uchar' flipy origin=({},{}) using 1:2:3 with "
        "rgbimage",
        i == 0 ? "plot " : ", \\\n  ", name, kTile, kTile, figure.data.size(), x, y);
    append_tile(figure.data, dataset, each.index);
    const auto named = [&](std::int32_t label) {
      return data_text(dataset.classes().at(static_cast<std::size_t>(label)));
    };
    const std::int32_t label = dataset.label(each.index);
    const bool right = label == each.predicted;
    figure.script +=
        fmt::format("set label '{}{} {:.0f} %' at {},{} center textcolor rgb '{}'\n", named(label),
                    right ? "" : " → " + named(each.predicted), static_cast<double>(100 * each.confidence),
                    x + kTile / 2, y - kGap, right ? palette::kInk : palette::kSeries[4]);
  }
  figure.script += fmt::format(
      "set margins 0, 0, 0, 0\nunset border\nunset tics\nunset key\nset xrange [0:{}]\nset yrange "
      "[0:{}]\n{}\n",
      width, height, plots);
  return figure;
}

}  // namespace lathe::experiments
