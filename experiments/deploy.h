#pragma once

#include "train.h"

#include <lathe/compress/quantize.h>
#include <lathe/graph/graph.h>

namespace lathe::experiments {

/// A trained model in integers. One that was trained for them has its own ranges; any other gets them from
/// its calibration images: for int8 those of the least squared error, which cost nothing where min-max does
/// well (validation images, dscnn and conv) and hold where it does not (dscnn pruned to 80 %: 91.3 %, not
/// 89.0), for int16x8 all that was seen. `real` is its float graph.
graph::Graph in_integers(const TrainedModel& trained, const graph::Graph& real,
                         const compress::QuantizeOptions& options);

}  // namespace lathe::experiments
