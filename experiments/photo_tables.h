#pragma once

#include "rows.h"
#include "table.h"

#include <lathe/datasets/dataset.h>
#include <lathe/layers/module.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lathe::experiments {

/// Numbers in a model as the published study counts them while a pass works on it: besides all that belongs
/// to the model, masks, thresholds and step counters of pruned layers, and for each clustered one the index
/// of every weight and its centroids.
struct PublishedTotals {
  std::int64_t base = 0;
  std::int64_t pruned_dense = 0;  ///< the linear layers of the head
  std::int64_t clustered = 0;  ///< all convolutions and linear layers, 16 centroids each; no depthwise ones
};
PublishedTotals published_totals(layers::Module& model);

/// A row for each experiment: accuracy, file bytes and latency of fp32 and int8.
Table stage_table(const std::vector<Row>& rows);

struct PhotoReport {
  std::string command;
  std::string dataset;
  const datasets::Named* data = nullptr;
};

/// Writes study.md into the folder: the stages, the totals of parameters, what was left out.
void write_photo_report(const ResultFolder& folder, const std::vector<Row>& rows, const PhotoReport& report);

}  // namespace lathe::experiments
