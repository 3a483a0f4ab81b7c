#pragma once

#include <lathe/compress/quantize.h>
#include <lathe/core/ops.h>
#include <lathe/layers/module.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// The transforms that make a network compute with what its integers will be. quantize_aware.h attaches them.
namespace lathe::compress {

/// What quantizers do at the moment.
enum class QuantizerMode {
  on,
  off,     ///< pass through
  observe  ///< pass through, activations are watched: calibration
};

/// The range of values that share their parameters, and how it follows what is seen.
class WatchedRange {
 public:
  struct Options {
    int bits = 8;
    float decay = 0.99f;
    bool running = false;             ///< widened to everything seen instead of a moving average: of inputs
    std::optional<Range> fixed = {};  ///< whatever is seen
  };
  explicit WatchedRange(const Options& options);

  graph::FakeQuantize op(bool average) const;
  /// Scale of the integers.
  float scale() const;
  /// What is seen is noted there and counts from the next settle() on; null when the range stays as it is.
  Extremes* watch();
  /// The first range: all that was seen so far.
  void start();
  /// Moves the range towards what was seen in this step.
  void settle();
  void freeze(bool on) { frozen_ = on; }
  /// Someone calls settle() in each step.
  void set_driven() { driven_ = true; }
  bool driven() const { return driven_; }
  bool fixed() const { return options_.fixed.has_value(); }
  Tensor& buffer() { return range_; }

 private:
  Options options_;
  Tensor range_;  ///< [2]: min, max
  Extremes seen_;
  bool any_ = false, frozen_ = false, driven_ = false;
};

/// A layer's weight, and the batch norm that is going to be folded into it.
struct FoldedWeight {
  struct Norm {
    layers::Parameter gamma;
    layers::Parameter bias;  ///< of the layer before; may be empty
    Tensor mean, variance;
    float epsilon = 0;
  };
  layers::Parameter weight;
  std::optional<Norm> norm;

  /// Scale of the folded weight's integers, by output channel.
  std::vector<double> scales() const;
};

/// How integers get to those of an output: accumulator * (a * b / output scale), in two roundings.
struct Rescaling {
  std::shared_ptr<WatchedRange> a, b;  ///< of the inputs; b of products only
  std::optional<FoldedWeight> weight;  ///< of layers
  double divisor = 1;                  ///< of averages
  /// By channel: how far below a half a value may be to be rounded as one, with this scale of the output.
  Tensor slack(float out_scale, std::int64_t channels) const;
};

/// Of what comes out of a module or goes into it.
class ActivationQuantizer : public layers::Transform {
 public:
  /// `owner`: the range is this one's buffer. Others share it.
  ActivationQuantizer(std::shared_ptr<WatchedRange> range, bool owner, bool average,
                      std::optional<Rescaling> rescaling)
      : range_(std::move(range)), owner_(owner), average_(average), rescaling_(std::move(rescaling)) {}

  layers::Stage stage() const override { return layers::Stage::quantize; }
  /// Throws Error in training when nobody drives the range: the callback is missing.
  Tensor apply(const Tensor& x) override;
  bool keeps_order() const override { return true; }
  std::vector<std::pair<std::string, Tensor*>> buffers() override;
  void set_mode(QuantizerMode mode) { mode_ = mode; }

 private:
  std::shared_ptr<WatchedRange> range_;
  bool owner_, average_;
  std::optional<Rescaling> rescaling_;  ///< in evaluation
  QuantizerMode mode_ = QuantizerMode::on;
};

/// Of the weight of a convolution or linear layer.
class WeightQuantizer : public layers::Transform {
 public:
  layers::Stage stage() const override { return layers::Stage::quantize; }
  Tensor apply(const Tensor& x) override;
  /// One scale for all channels, so that weights with the same value have the same integer.
  void set_per_tensor() { per_tensor_ = true; }
  void set_mode(QuantizerMode mode) { mode_ = mode; }

 private:
  bool per_tensor_ = false;
  QuantizerMode mode_ = QuantizerMode::on;
};

/// Of the bias of such a layer, or of the offset of the batch norm that is going to be folded into it: in
/// evaluation it is what 32-bit integers in steps of input scale times weight scale make of it. (In training
/// it is left alone: the steps are far finer than those of the output.)
class BiasQuantizer : public layers::Transform {
 public:
  BiasQuantizer(std::shared_ptr<WatchedRange> input, FoldedWeight weight)
      : input_(std::move(input)), weight_(std::move(weight)) {}

  layers::Stage stage() const override { return layers::Stage::quantize; }
  Tensor apply(const Tensor& x) override;
  void set_mode(QuantizerMode mode) { mode_ = mode; }

 private:
  std::shared_ptr<WatchedRange> input_;
  FoldedWeight weight_;
  QuantizerMode mode_ = QuantizerMode::on;
};

/// All quantizers of a model (or those of activations alone) in a mode while it lives.
class QuantizersIn {
 public:
  QuantizersIn(layers::Module& model, QuantizerMode mode, bool activations_only = false);
  ~QuantizersIn();
  QuantizersIn(const QuantizersIn&) = delete;
  QuantizersIn& operator=(const QuantizersIn&) = delete;

 private:
  void set(QuantizerMode mode);

  layers::Module& model_;
  bool activations_only_;
};

bool has_activation_quantizers(layers::Module& model);

/// To be called when a codebook or a quantizer was attached to a weight: all channels that share a codebook
/// get one scale, whichever came first.
void share_scale_of_codebook(const layers::Parameter& weight);

}  // namespace lathe::compress
