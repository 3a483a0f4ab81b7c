#pragma once

#include <lathe/runtime/plan.h>

#include <cstdint>

/// When leaving out weights of 0 is faster than multiplying them: an estimate of both times, fitted to what
/// bench/sparse_bench.cpp measures. It knows only the layer and the level, so that a plan is the same from
/// run to run.
namespace lathe::runtime {

/// A convolution as both kernels see it.
struct ConvWork {
  std::int64_t dense_products = 0, dense_outputs = 0;  ///< with output channels rounded up to 16
  std::int64_t vectors = 0;                            ///< of sixteen products with weights that are not 0
  std::int64_t sums = 0;                               ///< vectors of sums that are loaded and stored
  std::int64_t moved = 0;                              ///< elements brought into planes and out of them
  bool sampled = false;                                ///< as kernels/sparse.h calls it
};

struct LinearWork {
  std::int64_t weights = 0;  ///< all
  std::int64_t groups = 0;   ///< of sixteen that are gathered
  std::int64_t outputs = 0;
};

/// Estimated nanoseconds of the processor that the fit was made on; their ratio is what counts.
struct SparseTimes {
  double dense = 0, sparse = 0;
  /// The estimate is off by some ten percent: sparse kernels have to win by as much.
  bool faster() const { return sparse * 1.1 < dense; }
};

SparseTimes estimate(const ConvWork& work, Level level);
SparseTimes estimate(const LinearWork& work, Level level);

}  // namespace lathe::runtime
