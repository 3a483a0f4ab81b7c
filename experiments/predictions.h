#pragma once

#include "gnuplot.h"

#include <lathe/datasets/dataset.h>
#include <lathe/graph/graph.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lathe::experiments {

/// What a deployed network says of an image.
struct Prediction {
  std::int64_t index = 0;      ///< in its data set
  std::int32_t predicted = 0;  ///< class
  float confidence = 0;        ///< softmax of the output, 0..1
};

struct Predictions {
  std::vector<Prediction> sample;    ///< images drawn at random, always the same ones
  std::vector<Prediction> mistakes;  ///< all, the most confident first
};

/// Runs a deployed network on a data set; `sample`: how many images to draw. Throws Error as predict() does.
Predictions look_at_predictions(const graph::Graph& graph, const datasets::Dataset& dataset,
                                std::int64_t sample);

/// A sheet of small pictures, eight in a row, each with its class, what was predicted if that is another one,
/// and the confidence in percent.
Figure prediction_sheet(const std::string& name, const std::string& caption,
                        std::span<const Prediction> predictions, const datasets::Dataset& dataset);

}  // namespace lathe::experiments
