#include <lathe/compress/quantize_aware.h>

#include "quantizer_positions.h"
#include "quantizers.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/compress/cluster.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/layers/layers.h>

#include <cmath>
#include <map>

namespace lathe::compress {
namespace {

void validate(const TrainingPoint& point, const char* name) {
  check(point.share >= 0 && point.share <= 1, "quantize_aware: {}.share is {}, expected 0 to 1", name,
        point.share);
  check(!point.step || *point.step >= 0, "quantize_aware: {}.step is {}, expected at least 0", name,
        point.step.value_or(0));
}

void validate(const QuantizeAwareOptions& options) {
  check(options.decay >= 0 && options.decay <= 1, "quantize_aware: decay is {}, expected 0 to 1",
        options.decay);
  validate(options.freeze_ranges_at, "freeze_ranges_at");
  validate(options.freeze_batch_norm_at, "freeze_batch_norm_at");
}

void check_batches(std::span<const Tensor> batches, const Shape& input) {
  check(!batches.empty(), "quantize_aware: there are no calibration batches");
  for (const Tensor& batch : batches) {
    check(batch && batch.shape().rank() == input.rank() && batch.shape()[0] >= 1 &&
              batch.shape().with(0, 1) == input && batch.dtype() == Dtype::f32,
          "quantize_aware: calibration batches must be f32{} with any number of images, given {}",
          to_string(input), batch ? to_string(batch.shape()) : "an empty handle");
    for (float x : batch.span<float>())
      check(std::isfinite(x), "quantize_aware: the calibration batches have values that are not finite");
  }
}

std::vector<std::shared_ptr<WatchedRange>> make_ranges(const QuantizerPositions& positions,
                                                       const QuantizeAwareOptions& options) {
  const bool wide = options.scheme == Scheme::int16x8;
  std::vector<std::shared_ptr<WatchedRange>> ranges;
  for (const SharedRange& range : positions.ranges)
    ranges.push_back(std::make_shared<WatchedRange>(
        WatchedRange::Options{.bits = wide ? 16 : 8,
                              .decay = options.decay,
                              .running = range.of_input,
                              .fixed = wide ? std::nullopt : range.fixed}));
  return ranges;
}

/// By index of position: the weights as they will be after folding; none where the norm is not one of the
/// model.
std::vector<std::optional<FoldedWeight>> fold_weights(const layers::Module& model,
                                                      const QuantizerPositions& positions) {
  std::map<std::string, Tensor> buffers;
  for (const layers::NamedTensor& named : model.buffers()) buffers[named.name] = named.tensor;
  std::vector<std::optional<FoldedWeight>> result;
  for (const WeightPosition& position : positions.weights) {
    std::optional<FoldedWeight>& folded = result.emplace_back(FoldedWeight{position.weight, {}});
    if (!position.norm) continue;
    const auto& names = position.norm_names;
    if (position.gamma && buffers.contains(names[2]) && buffers.contains(names[3]))
      folded->norm = FoldedWeight::Norm{.gamma = position.gamma,
                                        .bias = position.bias,
                                        .mean = buffers[names[2]],
                                        .variance = buffers[names[3]],
                                        .epsilon = position.norm->epsilon};
    else
      folded.reset();
  }
  return result;
}

void attach_activations(const QuantizerPositions& positions,
                        const std::vector<std::shared_ptr<WatchedRange>>& ranges,
                        const std::vector<std::optional<FoldedWeight>>& weights) {
  for (const ActivationPosition& position : positions.activations) {
    const layers::Module& module = *position.module;
    check(!(position.input ? module.input_transform() : module.output_transform()),
          "quantize_aware: a {} has a transform of its {} already", module.type(),
          position.input ? "input" : "output");
  }
  std::vector<bool> owned(ranges.size());
  for (const ActivationPosition& position : positions.activations) {
    std::optional<Rescaling> rescaling;
    const auto& inputs = position.input_ranges;
    if (!inputs.empty() && (!position.weight || weights[*position.weight]))
      rescaling = Rescaling{.a = ranges[inputs[0]],
                            .b = inputs.size() > 1 ? ranges[inputs[1]] : nullptr,
                            .weight = position.weight ? weights[*position.weight] : std::nullopt,
                            .divisor = position.divisor};
    auto quantizer = std::make_shared<ActivationQuantizer>(ranges[position.range], !owned[position.range],
                                                           position.average, std::move(rescaling));
    quantizer->train(position.module->training());
    owned[position.range] = true;
    if (position.input)
      position.module->set_input_transform(std::move(quantizer));
    else
      position.module->set_output_transform(std::move(quantizer));
  }
}

/// The whole model in evaluation over the batches, with every quantizer looking on.
void calibrate_ranges(layers::Module& model, std::span<const Tensor> batches,
                      const std::vector<std::shared_ptr<WatchedRange>>& ranges) {
  {
    const NoGrad no_grad;
    const layers::EvalMode evaluation(model);
    const QuantizersIn observing(model, QuantizerMode::observe);
    // With the weights behind the codebooks: the order in which methods are attached makes no difference.
    const std::vector<ClusteredWeight> clustered = clustered_weights(model);
    for (const ClusteredWeight& weight : clustered) weight.codebook->pass_through(true);
    for (const Tensor& batch : batches) model(batch);
    for (const ClusteredWeight& weight : clustered) weight.codebook->pass_through(false);
  }
  for (const auto& range : ranges) range->start();
}

bool has_stage(const layers::Parameter& parameter) {
  for (const auto& transform : parameter.transforms())
    if (transform->stage() == layers::Stage::quantize) return true;
  return false;
}

void attach_weights(layers::Module& model, const QuantizerPositions& positions,
                    const std::vector<std::shared_ptr<WatchedRange>>& ranges,
                    const std::vector<std::optional<FoldedWeight>>& weights) {
  std::map<std::string, layers::Parameter> parameters;
  for (const layers::NamedParameter& named : model.parameters()) parameters[named.name] = named.parameter;
  for (std::size_t i = 0; i < positions.weights.size(); ++i) {
    const WeightPosition& position = positions.weights[i];
    layers::Parameter weight = position.weight;
    if (has_stage(weight)) continue;  // of two layers
    auto quantizer = std::make_shared<WeightQuantizer>();
    quantizer->train(model.training());
    weight.attach(std::move(quantizer));
    share_scale_of_codebook(weight);
    // With batch norm the bias is what its offset becomes.
    layers::Parameter bias = position.norm ? parameters[position.norm_names[1]] : position.bias;
    if (!weights[i] || !bias || has_stage(bias)) continue;
    auto of_bias = std::make_shared<BiasQuantizer>(ranges[position.input_range], *weights[i]);
    of_bias->train(model.training());
    bias.attach(std::move(of_bias));
  }
}

}  // namespace

QuantizationAware::QuantizationAware(layers::Module& model, std::vector<std::shared_ptr<WatchedRange>> ranges,
                                     std::vector<LeftOut> left_out, QuantizeAwareOptions options)
    : model_(model),
      ranges_(std::move(ranges)),
      left_out_(std::move(left_out)),
      options_(std::move(options)) {}

bool QuantizationAware::reached(const TrainingPoint& point, std::int64_t step, std::int64_t steps) const {
  if (point.step) return step >= *point.step;
  return point.share < 1 && static_cast<double>(step) >= point.share * static_cast<double>(steps);
}

void QuantizationAware::update(std::int64_t step, std::int64_t steps) {
  settle();
  for (const auto& range : ranges_) {
    range->set_driven();
    range->freeze(reached(options_.freeze_ranges_at, step, steps));
  }
  if (!reached(options_.freeze_batch_norm_at, step, steps)) return;
  for (const auto& [path, module] : model_.modules())
    if (dynamic_cast<layers::BatchNorm2d*>(module) != nullptr) module->eval();
}

void QuantizationAware::settle() {
  for (const auto& range : ranges_) range->settle();
}

void QuantizationAware::step_begin(optim::TrainState& state) {
  update(state.step, state.epochs * state.steps_per_epoch);
}

void QuantizationAware::fit_end(optim::TrainState&) {
  settle();
  for (const auto& [path, module] : model_.modules())
    if (dynamic_cast<layers::BatchNorm2d*>(module) != nullptr) module->train(model_.training());
}

std::unique_ptr<QuantizationAware> quantize_aware(layers::Module& model, const Shape& input,
                                                  std::span<const Tensor> batches,
                                                  const QuantizeAwareOptions& options) {
  validate(options);
  check_batches(batches, input);
  check(!has_activation_quantizers(model), "quantize_aware: the model has quantizers already");
  for (const layers::NamedParameter& named : model.parameters())
    check(!has_stage(named.parameter), "quantize_aware: {} has a transform of stage 'quantize' already",
          named.name);
  const QuantizerPositions positions = find_positions(model, input, options.layers);
  check(!positions.weights.empty(), "quantize_aware: nothing is left to quantize{}{}",
        positions.left_out.empty() ? "" : ": ",
        positions.left_out.empty() ? "" : positions.left_out[0].name + ": " + positions.left_out[0].reason);
  auto ranges = make_ranges(positions, options);
  const auto weights = fold_weights(model, positions);
  attach_activations(positions, ranges, weights);
  calibrate_ranges(model, batches, ranges);
  attach_weights(model, positions, ranges, weights);
  return std::make_unique<QuantizationAware>(model, std::move(ranges), positions.left_out, options);
}

QuantizationGapLog::QuantizationGapLog(std::filesystem::path path, const datasets::DataLoader& loader,
                                       const QuantizationGapOptions& options)
    : path_(std::move(path)), loader_(loader), options_(options) {
  check(options.every >= 0, "quantization gap: every is {}, expected at least 0", options.every);
  check(options.batches >= 1, "quantization gap: {} batches, expected at least 1", options.batches);
}

void QuantizationGapLog::step_end(optim::TrainState& state) {
  if (options_.every > 0 && (state.step + 1) % options_.every == 0) write(state);
}

void QuantizationGapLog::epoch_end(optim::TrainState& state) {
  if (options_.every == 0) write(state);
}

void QuantizationGapLog::write(const optim::TrainState& state) {
  const NoGrad no_grad;
  const layers::EvalMode evaluation(state.model);
  const auto mean_loss = [&] {
    double sum = 0;
    std::int64_t samples = 0;
    auto batches = loader_.epoch(0);
    for (std::int64_t i = 0; i < options_.batches; ++i) {
      const auto batch = batches.next();
      if (!batch) break;
      sum += static_cast<double>(cross_entropy(state.model(batch->images), batch->labels).item()) *
             static_cast<double>(batch->size());
      samples += batch->size();
    }
    return samples > 0 ? sum / static_cast<double>(samples) : 0.;
  };
  const double quantized = mean_loss();
  const QuantizersIn off(state.model, QuantizerMode::off);
  const double real = mean_loss();
  if (lines_.empty()) lines_ = "epoch,step,quantized_loss,float_loss,gap\n";
  const std::int64_t done = options_.every > 0 ? state.step + 1 : state.step;
  lines_ +=
      fmt::format("{},{},{:.6f},{:.6f},{:.6f}\n", state.epoch + 1, done, quantized, real, quantized - real);
  write_file(path_, lines_);
}

}  // namespace lathe::compress
