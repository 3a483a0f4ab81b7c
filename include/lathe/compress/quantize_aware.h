#pragma once

#include <lathe/compress/quantize.h>
#include <lathe/compress/select.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/module.h>
#include <lathe/optim/trainer.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

/// Quantization-aware training: the network trains with the values that its integers will have after
/// deployment, and learns to live with them. Jacob et al. 2018, "Quantization and Training of Neural Networks
/// for Efficient Integer-Arithmetic-Only Inference", section 3; deviations stand in
/// docs/methods/quantization-aware-training.md.
///
///   auto quantization = compress::quantize_aware(model, {1, 28, 28, 1}, calibration_batches, {});
///   optim::Adam optimizer(model.parameters(), {});
///   trainer.add(std::move(quantization));
///   trainer.fit(loader);
///   graph::save(compress::export_quantized(model, {1, 28, 28, 1}), "model.lathe");
namespace lathe::compress {

/// A point of the training: a share of all its steps, or a step (0-based).
struct TrainingPoint {
  double share = 1;  ///< 0..1; 1: never
  std::optional<std::int64_t> step = {};
};

struct QuantizeAwareOptions {
  /// The integers that are trained for; those of the weights are int8 in both.
  Scheme scheme = Scheme::int8;
  /// Share of a range that stays at each step; the rest is that of the step's batch. 0..1.
  float decay = 0.99f;
  /// By default the whole model. Layers that are not selected stay float in the deployed graph.
  Selection layers = {};
  /// From here on the ranges stay as they are.
  TrainingPoint freeze_ranges_at = {};
  /// From here on batch norm normalises with its moving statistics and leaves them alone, as it will after
  /// deployment.
  TrainingPoint freeze_batch_norm_at = {};
};

class WatchedRange;

/// Moves the ranges of the activations: at the end of each step by a share towards the smallest and largest
/// value of its batch (that of the model's input is widened instead). The ranges are buffers of the model
/// ("conv1.output.range"), so that a resumed training goes on with the same bytes.
///
/// Without a Trainer: call update(step, steps) before the forward pass of each step and settle() at the end.
class QuantizationAware : public optim::Callback {
 public:
  QuantizationAware(layers::Module& model, std::vector<std::shared_ptr<WatchedRange>> ranges,
                    std::vector<LeftOut> left_out, QuantizeAwareOptions options);

  /// `step` is 0-based, `steps` how many there are in the whole training.
  void update(std::int64_t step, std::int64_t steps);
  void settle();
  /// Layers that stay float, and why.
  const std::vector<LeftOut>& left_out() const { return left_out_; }

  void step_begin(optim::TrainState& state) override;
  void step_end(optim::TrainState&) override { settle(); }
  void fit_end(optim::TrainState& state) override;

 private:
  bool reached(const TrainingPoint& point, std::int64_t step, std::int64_t steps) const;

  layers::Module& model_;
  std::vector<std::shared_ptr<WatchedRange>> ranges_;
  std::vector<LeftOut> left_out_;
  QuantizeAwareOptions options_;
};

/// Attaches quantizers to the weights and biases of the selected layers, and to every activation that their
/// integers round: the model's input, and the outputs of fused patterns (convolution, batch norm and relu are
/// one), additions, averages, ...; where is read off the deployed graph. Values that share their parameters
/// there share one range here. Ranges start as the smallest and largest values over the calibration batches
/// ([N,H,W,C] each). Call it before the optimiser is built.
///
/// `input` is [1,H,W,C]. A value that is made inside of a forward() and is no module's output cannot be
/// quantized (use layers::Add and the like): what reads it stays float and is listed. Throws Error when an
/// option is out of range, the selection is (select.h), there are no batches or they do not fit, the model
/// has quantizers already, or nothing is left to quantize.
[[nodiscard]] std::unique_ptr<QuantizationAware> quantize_aware(layers::Module& model, const Shape& input,
                                                                std::span<const Tensor> batches,
                                                                const QuantizeAwareOptions& options = {});

/// The deployable graph of a model with quantizers, in integers where it was trained so and float elsewhere
/// (listed in `left_float`, by node of the float graph). What the model computes in evaluation is what this
/// graph computes, to within a code of its output. A model trained for int8 can be exported with
/// Scheme::int16x8 too: the same ranges in finer steps. Throws Error when the model has no quantizers of
/// activations, or when it was trained for int16x8 and the options say int8.
graph::Graph export_quantized(layers::Module& model, const Shape& input, const QuantizeOptions& options = {},
                              std::vector<FloatNode>* left_float = nullptr);

struct QuantizationGapOptions {
  std::int64_t every = 0;    ///< steps; 0: at the end of each epoch
  std::int64_t batches = 4;  ///< of the loader's first epoch, at most
};

/// A CSV line with what quantization costs: epoch, step, loss in evaluation with quantizers, loss with all of
/// them passing through, and the difference. Written whole and atomically; a resumed run keeps the lines
/// before.
class QuantizationGapLog : public optim::Callback {
 public:
  /// The loader must live as long as the callback. Throws Error when an option is out of range.
  QuantizationGapLog(std::filesystem::path path, const datasets::DataLoader& loader,
                     const QuantizationGapOptions& options = {});
  void step_end(optim::TrainState& state) override;
  void epoch_end(optim::TrainState& state) override;
  std::string state_name() const override { return "quantization_gap"; }
  std::string state() const override { return lines_; }
  void restore(const std::string& state) override { lines_ = state; }

 private:
  void write(const optim::TrainState& state);

  std::filesystem::path path_;
  const datasets::DataLoader& loader_;
  QuantizationGapOptions options_;
  std::string lines_;
};

}  // namespace lathe::compress
