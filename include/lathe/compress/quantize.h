#pragma once

#include <lathe/compress/calibrate.h>
#include <lathe/graph/graph.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// Quantization of an optimised float graph, with ranges from calibration (after training) or from the
/// quantizers of a model that was trained with them. Jacob et al. 2018; the arithmetic is that of the TFLite
/// 8-bit quantization specification.
namespace lathe::compress {

/// The integers of activations. Weights are int8 in both, symmetric with a scale for each output channel.
enum class Scheme {
  int8,     ///< activations int8, asymmetric; bias int32, sums in 32 bits
  int16x8,  ///< activations int16, symmetric; bias int64, sums in 64 bits
};

/// What the caller hands over and gets back.
enum class Border {
  f32,  ///< converted by the first and last node of the graph
  u8,   ///< input: real = pixel / 255; output: the int8 code + 128
};

struct QuantizeOptions {
  Scheme scheme = Scheme::int8;
  Border input = Border::f32;
  Border output = Border::f32;
  /// Nodes, by index, that stay float although they could run in integers.
  std::vector<std::size_t> stay_float = {};
};

/// A node that stays float in a quantized graph.
struct FloatNode {
  std::size_t node = 0;  ///< index in the graph that was given
  std::string reason;
};

/// A graph in which every node that can runs in integers. It can when its op has an integer form, its weights
/// are constants, and its activations have ranges; those of values without one follow from the values around
/// them where an op only hands numbers on (pooling, reshape, concat, pad), and some outputs have fixed ones.
/// The others stay float, with quantize and dequantize nodes at the borders, and are listed in `left_float`.
/// Throws Error when a range is not finite or does not include 0, when the graph is not a float one, and when
/// a u8 border does not fit: an input beyond 0..1, an output without a range.
graph::Graph quantize(const graph::Graph& graph, std::span<const std::optional<Range>> ranges,
                      const QuantizeOptions& options = {}, std::vector<FloatNode>* left_float = nullptr);

struct DynamicOptions {
  /// Weights with fewer elements stay float: what they save is not worth the time that quantizing their input
  /// takes.
  std::int64_t min_elements = 1024;
};

/// Weights of convolutions and linear layers int8, symmetric with a scale for each output channel; all else
/// float. Such a layer quantizes its input as it runs, each image over its own range (int8, asymmetric), sums
/// in integers and gives floats: no calibration. Layers that stay float are listed in `left_float`. Throws
/// Error when the graph is not a float one.
graph::Graph quantize_dynamic(const graph::Graph& graph, const DynamicOptions& options = {},
                              std::vector<FloatNode>* left_float = nullptr);

/// Constants as half-precision floats; the arithmetic stays float (a plan expands them when it is made). A
/// constant with an element beyond 65504 stays float, and the nodes that read it are listed in `left_float`.
/// Throws Error when the graph is not a float one.
graph::Graph to_half(const graph::Graph& graph, std::vector<FloatNode>* left_float = nullptr);

}  // namespace lathe::compress
