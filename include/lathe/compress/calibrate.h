#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>
#include <lathe/graph/quantization.h>

#include <optional>
#include <span>
#include <vector>

namespace lathe::compress {

/// The range of one value over the calibration images; always includes 0.
using graph::Range;

/// Ranges by ValueId. A value without one (a constant, or what no quantizer watches) stays float.
using Ranges = std::vector<std::optional<Range>>;

/// How a range is estimated from what was seen.
enum class Estimator {
  min_max,     ///< all of it
  percentile,  ///< without the rarest elements at both ends
  /// The range whose 256 codes are nearest to the elements in the mean square: outliers are cut off where
  /// finer steps for all others are worth more (Nagel et al. 2021, "A White Paper on Neural Network
  /// Quantization", section 3.1). The graph's input and outputs keep all that was seen: cut scores would be
  /// equal ones. Not for int16x8, whose steps are fine enough.
  mean_squared_error,
};

struct CalibrationOptions {
  Estimator estimator = Estimator::min_max;
  /// Percentage of a value's elements that the range holds at least; as many may be outside on either side.
  /// Found in a histogram of 2,048 bins between smallest and largest; 100 is min_max. In (50, 100].
  double percentage = 99.99;
};

/// Runs the graph on the batches ([N,H,W,C] f32 each) with the training kernels and returns a range for every
/// f32 activation; all but min_max run it twice. Memory does not grow with the number of batches. Throws
/// Error when a value is not finite or there are no batches.
Ranges calibrate(const graph::Graph& graph, std::span<const Tensor> batches,
                 const CalibrationOptions& options = {});

}  // namespace lathe::compress
