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
/// to the model, masks, thresholds and step counters of pruned layers; for each clustered one the index of
/// every weight and its centroids; for each quantized one a counter and two ranges of two bounds, and one
/// more counter where a dropout stands in front of it.
struct PublishedTotals {
  std::int64_t base = 0;
  std::int64_t pruned_dense = 0;     ///< the linear layers of the head
  std::int64_t quantized_dense = 0;  ///< the linear layers of the head
  std::int64_t clustered = 0;  ///< all convolutions and linear layers, 16 centroids each; no depthwise ones
};
PublishedTotals published_totals(layers::Module& model);

/// A row for each experiment: accuracy, file bytes and latency of fp32 and int8.
Table stage_table(const std::vector<Row>& rows);

/// A row for each experiment and variant of its deployed files.
Table variant_table(const std::vector<Row>& rows);

/// Parameters as published, and those of the deployed model.
Table totals_table(const std::string& base);

/// Memory of the trainings.
Table memory_table(const std::vector<Row>& rows);

}  // namespace lathe::experiments
