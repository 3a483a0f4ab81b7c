#pragma once

#include <lathe/compress/quantize.h>
#include <lathe/compress/select.h>
#include <lathe/layers/module.h>

#include <optional>
#include <vector>

/// Where the integers of a module's deployed graph round.
namespace lathe::compress {

/// A layer that will run in integers. A batch norm that nothing takes in is one of weights 1, [C,1,1,1].
struct WeightPosition {
  layers::Parameter weight;
  layers::Parameter bias;  ///< may be empty
  /// The batch norm that is going to be folded into it: gamma, names of gamma, beta, mean, variance.
  std::optional<graph::BatchNorm> norm;
  layers::Parameter gamma;  ///< of the model, or of ones, as in a norm without scale; else empty
  std::vector<std::string> norm_names;
  std::size_t input_range = 0;
};

/// What comes out of a module (or goes into the model).
struct ActivationPosition {
  layers::Module* module = nullptr;
  bool input = false;
  bool average = false;   ///< the output of average pooling
  std::size_t range = 0;  ///< index of the range that it shares with others
  // Of values that integers make by rescaling a sum or product: what they are made of.
  std::vector<std::size_t> input_ranges = {};
  std::optional<std::size_t> weight = {};  ///< index of the layer
  double divisor = 1;
};

struct SharedRange {
  bool of_input = false;
  std::optional<Range> fixed;
};

struct QuantizerPositions {
  std::vector<SharedRange> ranges;
  std::vector<ActivationPosition> activations;
  std::vector<WeightPosition> weights;
  std::vector<LeftOut> left_out;  ///< selected layers that stay float
};

QuantizerPositions find_positions(layers::Module& model, const Shape& input, const Selection& selection);

/// Does it round to parameters that are there without a quantizer: fixed ones, or those of its input?
bool rounds_unasked(const graph::Op& op);

}  // namespace lathe::compress
