#pragma once

#include <lathe/base/random.h>
#include <lathe/graph/graph.h>
#include <lathe/runtime/plan.h>

#include <cstring>
#include <string>
#include <vector>

/// Random graphs for the runtime's tests, in f32, i8 and i16.
namespace graphs {

using lathe::Dtype;
using lathe::Rng;
using lathe::Shape;
using lathe::graph::Graph;
using lathe::graph::Op;
using lathe::graph::Quantization;
using lathe::graph::ValueId;

/// A graph under construction that hands out random constants.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : rng_(seed) {}

  /// i16: an f32 input and its quantization, so fine that the outermost codes come out often.
  ValueId input(Shape shape, Dtype dtype = Dtype::f32, std::optional<Quantization> quantization = {});
  ValueId constant(const std::string& name, Shape shape, float low, float high);
  /// Codes in -127..127 with a scale for each index of axis 0 (or one for all).
  ValueId weight_i8(const std::string& name, Shape shape, bool per_channel = true);
  /// Bias that fits to an input scale and a weight: i32, or i64 with i16 inputs.
  ValueId bias(const std::string& name, ValueId input, ValueId weight);

  /// Convolution or linear layer with random weight and bias, in the dtype of x. Integer outputs get a scale
  /// under which the codes spread over the range.
  ValueId weighted(Op op, ValueId x, Shape weight, const std::string& name = "layer", bool bias = true);
  ValueId node(Op op, std::vector<ValueId> inputs, const std::string& name = "node",
               std::optional<Quantization> quantization = {});

  ValueId quantize(ValueId x, Dtype dtype, Quantization quantization, const std::string& name = "quantize");

  /// i16 leaves as f32.
  Graph finish(ValueId output) {
    if (graph_.value(output).dtype == Dtype::i16)
      output = node(lathe::graph::Dequantize{}, {output}, "leave");
    graph_.set_outputs({output});
    return std::move(graph_);
  }
  Graph& graph() { return graph_; }
  Rng& rng() { return rng_; }

 private:
  Graph graph_;
  Rng rng_;
};

/// A quantization that is the same for every test, with a zero point away from 0. A Maker makes one for i16
/// of it (zero point 0, 128 times finer) where it needs one.
inline Quantization codes(float scale = 0.05f, std::int32_t zero_point = -11) {
  return {{scale}, zero_point};
}

/// Random elements of any dtype; floats in [-2, 2).
std::vector<std::byte> random_bytes(Dtype dtype, std::int64_t elements, std::uint64_t seed);

/// Runs a plan of the graph on random inputs and returns the first output's bytes.
std::vector<std::byte> run(const Graph& graph, const lathe::runtime::PlanOptions& options,
                           std::uint64_t seed = 1, std::string* kernels = nullptr);

std::vector<float> floats(const std::vector<std::byte>& bytes);

/// The three models of the project with random weights: their shapes as after export. f32 in and out, `dtype`
/// between.
Graph tutorial(Dtype dtype);
Graph conv(Dtype dtype);
Graph dscnn(Dtype dtype);

/// Layers with enough work for several threads and scratch memory of every kind: staged rows, planes of a
/// sparse layer, codes.
Graph large(Dtype dtype);

/// One layer, with a 2x2 maximum pool over it when `pool`; its input is in `dtype`.
Graph one_layer(Dtype dtype, const Op& op, const Shape& in, const Shape& weight, bool pool = false,
                bool bias = true);

/// The graph with a share of the f32 weights of its layers set to 0 at random.
Graph pruned(Graph graph, double zeros, std::uint64_t seed = 3);
/// The same of f32 and i8 weights, blocks at a time: four neighbouring inputs to sixteen outputs.
Graph pruned_blocks(Graph graph, double zeros, std::uint64_t seed = 5);

/// Levels that this processor runs, the reference left out.
std::vector<lathe::runtime::Level> fast_levels();

}  // namespace graphs
