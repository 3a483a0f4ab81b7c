#include "quantizers.h"

#include "weight_scales.h"

#include <lathe/base/error.h>
#include <lathe/compress/cluster.h>
#include <lathe/core/autograd.h>

#include <algorithm>
#include <cmath>

namespace lathe::compress {

WatchedRange::WatchedRange(const Options& options) : options_(options), range_(Tensor::zeros({2})) {}

graph::FakeQuantize WatchedRange::op(bool average) const {
  const auto range = range_.span<float>();
  const Range now = options_.fixed.value_or(Range{range[0], range[1]});
  return {.min = now.min, .max = now.max, .bits = options_.bits, .average = average};
}

float WatchedRange::scale() const {
  const graph::FakeQuantize now = op(false);
  return graph::activation_parameters({now.min, now.max}, now.bits).scale[0];
}

Extremes* WatchedRange::watch() {
  if (fixed() || frozen_) return nullptr;
  any_ = true;
  return &seen_;
}

void WatchedRange::start() {
  const auto range = range_.mutable_span<float>();
  if (any_) range[0] = seen_.min, range[1] = seen_.max;
  seen_ = {}, any_ = false;
}

void WatchedRange::settle() {
  if (!any_) return;
  const auto range = range_.mutable_span<float>();
  const bool finite = std::isfinite(seen_.min) && std::isfinite(seen_.max);
  if (finite && options_.running) {
    range[0] = std::min(range[0], seen_.min), range[1] = std::max(range[1], seen_.max);
  } else if (finite) {
    range[0] += (1 - options_.decay) * (seen_.min - range[0]);
    range[1] += (1 - options_.decay) * (seen_.max - range[1]);
  }
  seen_ = {}, any_ = false;
}

Tensor ActivationQuantizer::apply(const Tensor& x) {
  if (mode_ == QuantizerMode::off) return x;
  if (mode_ == QuantizerMode::observe) {
    if (Extremes* seen = range_->watch()) {
      const NoGrad no_grad;
      fake_quantize(x, {}, seen);
    }
    return x;
  }
  const bool learns = training() && grad_enabled();
  check(
      !learns || range_->driven(),
      "quantize_aware: training without the callback: give what quantize_aware() returned to the Trainer, or "
      "call its update(step, steps) before each step");
  Tensor slack;
  if (rescaling_ && !training()) slack = rescaling_->slack(range_->scale(), x.shape()[-1]);
  return fake_quantize(x, range_->op(average_), learns ? range_->watch() : nullptr, slack);
}

std::vector<std::pair<std::string, Tensor*>> ActivationQuantizer::buffers() {
  if (!owner_ || range_->fixed()) return {};
  return {{"range", &range_->buffer()}};
}

Tensor WeightQuantizer::apply(const Tensor& x) {
  return mode_ == QuantizerMode::off ? x : fake_quantize_weight(x, {.per_tensor = per_tensor_});
}

namespace {

/// gamma / sqrt(variance + epsilon)
double factor_of(const FoldedWeight::Norm& norm, const Tensor& gamma, std::size_t c) {
  return static_cast<double>(gamma.span<float>()[c]) /
         std::sqrt(static_cast<double>(norm.variance.span<float>()[c]) + static_cast<double>(norm.epsilon));
}

}  // namespace

std::vector<double> FoldedWeight::scales() const {
  const NoGrad no_grad;
  const Tensor now = weight.value();
  const auto channels = static_cast<std::size_t>(now.shape()[0]);
  const std::vector<float> raw = weight_scales(now.span<float>(), channels);
  std::vector<double> result(raw.begin(), raw.end());
  if (!norm) return result;
  const Tensor gamma = norm->gamma.value();
  for (std::size_t c = 0; c < channels; ++c) result[c] *= std::abs(factor_of(*norm, gamma, c));
  return result;
}

Tensor Rescaling::slack(float out_scale, std::int64_t channels) const {
  double common = static_cast<double>(a->scale()) / divisor / static_cast<double>(out_scale);
  if (b) common *= static_cast<double>(b->scale());
  const std::vector<double> scales =
      weight ? weight->scales() : std::vector<double>(static_cast<std::size_t>(channels), 1);
  Tensor result = Tensor::zeros({channels});
  for (std::size_t c = 0; c < scales.size(); ++c) {
    int exponent = 0;
    std::frexp(common * scales[c], &exponent);
    // The first rounding is to 2^exponent of a code.
    if (exponent < 0) result.mutable_span<float>()[c] = static_cast<float>(std::ldexp(0.5, exponent));
  }
  return result;
}

Tensor BiasQuantizer::apply(const Tensor& x) {
  if (training() || mode_ == QuantizerMode::off) return x;
  const NoGrad no_grad;
  const std::vector<double> scales = weight_.scales();
  // With a norm y = g * (conv + bias - mean) + x: the bias of the folded layer is x + offset.
  std::vector<double> offset(scales.size(), 0);
  if (const auto& norm = weight_.norm) {
    const Tensor gamma = norm->gamma.value(), bias = norm->bias.value();
    for (std::size_t c = 0; c < scales.size(); ++c) {
      const double b = bias ? static_cast<double>(bias.span<float>()[c]) : 0;
      offset[c] = factor_of(*norm, gamma, c) * (b - static_cast<double>(norm->mean.span<float>()[c]));
    }
  }
  Tensor result = Tensor::empty(x.shape());
  for (std::size_t c = 0; c < scales.size(); ++c) {
    const double step = static_cast<double>(input_->scale()) * scales[c];
    const double folded = static_cast<double>(x.span<float>()[c]) + offset[c];
    const bool usable = step > 0 && std::abs(folded) < std::ldexp(step, 30);
    result.mutable_span<float>()[c] =
        usable ? static_cast<float>(std::round(folded / step) * step - offset[c]) : x.span<float>()[c];
  }
  return result;
}

namespace {

/// Calls visit(transform) for everything attached anywhere in the model.
template <typename Visit>
void for_each_transform(layers::Module& model, const Visit& visit) {
  for (const auto& [path, module] : model.modules())
    for (const auto& [name, transform] : module->transforms()) visit(*transform);
}

}  // namespace

QuantizersIn::QuantizersIn(layers::Module& model, QuantizerMode mode, bool activations_only)
    : model_(model), activations_only_(activations_only) {
  set(mode);
}

QuantizersIn::~QuantizersIn() { set(QuantizerMode::on); }

void QuantizersIn::set(QuantizerMode mode) {
  for_each_transform(model_, [&](layers::Transform& transform) {
    if (auto* activation = dynamic_cast<ActivationQuantizer*>(&transform)) activation->set_mode(mode);
    if (activations_only_) return;
    const QuantizerMode other = mode == QuantizerMode::on ? mode : QuantizerMode::off;
    if (auto* weight = dynamic_cast<WeightQuantizer*>(&transform)) weight->set_mode(other);
    if (auto* bias = dynamic_cast<BiasQuantizer*>(&transform)) bias->set_mode(other);
  });
}

bool has_activation_quantizers(layers::Module& model) {
  bool any = false;
  for_each_transform(model, [&](layers::Transform& transform) {
    any = any || dynamic_cast<ActivationQuantizer*>(&transform) != nullptr;
  });
  return any;
}

void share_scale_of_codebook(const layers::Parameter& weight) {
  bool shared = false;
  for (const auto& transform : weight.transforms())
    if (const auto* codebook = dynamic_cast<const Codebook*>(transform.get()))
      shared = codebook->centroids().shape().rank() == 1;
  for (const auto& transform : weight.transforms())
    if (auto* quantizer = dynamic_cast<WeightQuantizer*>(transform.get()); quantizer && shared)
      quantizer->set_per_tensor();
}

}  // namespace lathe::compress
