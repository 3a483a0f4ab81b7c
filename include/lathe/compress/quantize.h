#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>
#include <lathe/graph/quantization.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// Quantization of an optimised float graph, with ranges from calibration (after training) or from the
/// quantizers of a model that was trained with them. Jacob et al. 2018; the arithmetic is that of the TFLite
/// 8-bit quantization specification.
namespace lathe::compress {

/// The range of one value over the calibration images; always includes 0.
using graph::Range;

/// Ranges by ValueId. A value without one (a constant, or what no quantizer watches) stays float.
using Ranges = std::vector<std::optional<Range>>;

/// How a range is estimated from what was seen.
enum class Estimator { min_max };

struct CalibrationOptions {
  Estimator estimator = Estimator::min_max;
};

/// Runs the graph on the batches ([N,H,W,C] f32 each) with the training kernels and returns a range for every
/// f32 activation. Throws Error when a value is not finite or there are no batches.
Ranges calibrate(const graph::Graph& graph, std::span<const Tensor> batches,
                 const CalibrationOptions& options = {});

struct QuantizeOptions {
  /// What the caller hands over and gets back. The float input is quantized by the first node of the graph;
  /// u8 input is real = pixel / 255.
  enum class Border { f32, u8 };
  Border input = Border::f32;
  /// Nodes, by index, that stay float although they could run in integers.
  std::vector<std::size_t> stay_float = {};
};

/// A node that stays float in a quantized graph.
struct FloatNode {
  std::size_t node = 0;  ///< index in the graph that was given
  std::string reason;
};

/// A graph in which every node that can runs in integers: weights int8 symmetric (per output channel,
/// -127..127), activations int8 asymmetric, bias int32. A node can when its op has an integer form, its
/// weights are constants, and its activations have ranges; those of values without one follow from the values
/// around them where an op only hands numbers on (pooling, reshape, concat, pad), and some outputs have fixed
/// ones. The others stay float, with quantize and dequantize nodes at the borders, and are listed in
/// `left_float`. Output is f32. Throws Error when a range is not finite or does not include 0, and when the
/// graph is not a float one.
graph::Graph quantize(const graph::Graph& graph, std::span<const std::optional<Range>> ranges,
                      const QuantizeOptions& options = {}, std::vector<FloatNode>* left_float = nullptr);

}  // namespace lathe::compress
