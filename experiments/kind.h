#pragma once

#include <lathe/compress/centroids.h>
#include <lathe/compress/mask.h>

#include <optional>
#include <string>
#include <string_view>

namespace lathe::experiments {

/// What is done to a model in one training: any subset of the passes. "baseline" is the empty one.
struct Kind {
  bool distil = false;                           ///< kd
  std::optional<float> sparsity;                 ///< prune-0.8
  std::optional<compress::FineGrained> pattern;  ///< prune-2:4
  std::optional<compress::Block> block;          ///< prune-0.8-16x4, with sparsity
  int clusters = 0;                              ///< cluster-16
  /// cluster-16-linear
  compress::CentroidInit centroid_init = compress::CentroidInit::kmeans;
  bool quantization_aware = false;  ///< qat
  bool prune_dense = false;         ///< prune-0.5-dense: linear layers only
  bool quantize_dense = false;      ///< qat-dense: linear layers only, the rest stays float

  bool prunes() const { return sparsity || pattern; }
  bool is_baseline() const { return !distil && !prunes() && clusters == 0 && !quantization_aware; }
};

/// Passes joined by +, in any order: "prune-0.8+cluster-16+qat"; prune and qat may end in -dense. Also the
/// aliases pqat (prune-0.8+qat), cqat (cluster-16+qat) and pcqat (all three). Throws Error naming the part
/// that is wrong and the parts there are.
Kind parse_kind(std::string_view text);

/// The one way to write it: passes in the order kd, prune, cluster, qat.
std::string to_string(const Kind& kind);

}  // namespace lathe::experiments
