#pragma once

#include <lathe/core/tensor.h>
#include <lathe/graph/graph.h>

#include <cstdint>
#include <span>
#include <vector>

/// Post-training quantization of an optimised float graph to 8 bits. Jacob et al. 2018; the arithmetic is
/// that of the TFLite 8-bit quantization specification.
namespace lathe::compress {

/// The range of one value over the calibration images; always includes 0.
struct Range {
  float min = 0;
  float max = 0;
};

/// How a range is estimated from what was seen.
enum class Estimator { min_max };

struct CalibrationOptions {
  Estimator estimator = Estimator::min_max;
};

/// Runs the graph on the batches ([N,H,W,C] f32 each) with the training kernels and returns a range for every
/// f32 activation, by ValueId (constants keep {0,0}). Throws Error when a value is not finite or there are no
/// batches.
std::vector<Range> calibrate(const graph::Graph& graph, std::span<const Tensor> batches,
                             const CalibrationOptions& options = {});

struct QuantizeOptions {
  /// What the caller hands over and gets back. The float input is quantized by the first node of the graph;
  /// u8 input is real = pixel / 255.
  enum class Border { f32, u8 };
  Border input = Border::f32;
};

/// Weights int8 symmetric (per output channel; -127..127), activations int8 asymmetric, bias int32. Output is
/// f32 (logits dequantized by the last node). Throws Error naming a node that cannot be quantized.
graph::Graph quantize_int8(const graph::Graph& graph, std::span<const Range> ranges,
                           const QuantizeOptions& options = {});

/// scale and zero point of an asymmetric int8 tensor with this range: scale = (max-min)/255, zero point
/// nudged so that 0 is exact.
graph::Quantization int8_parameters(Range range);

}  // namespace lathe::compress
