#include <lathe/core/ops.h>
#include <lathe/layers/image_models.h>

#include <algorithm>
#include <cmath>

namespace lathe::layers {

Normalize::Normalize(const Options& options) : options_(options) {
  check(!options.mean.empty() && options.mean.size() == options.deviation.size(),
        "Normalize: {} means and {} deviations", options.mean.size(), options.deviation.size());
  for (const float deviation : options.deviation)
    check(deviation > 0, "Normalize: deviation {} must be positive", deviation);
  const Shape shape{static_cast<std::int64_t>(options.mean.size())};
  mean = Tensor::zeros(shape), variance = Tensor::zeros(shape), count = Tensor::zeros({1});
  register_buffer("mean", mean);
  register_buffer("variance", variance);
  register_buffer("count", count);
  reset_own(Rng(0));
}

void Normalize::reset_own(const Rng&) {
  std::ranges::copy(options_.mean, mean.mutable_span<float>().begin());
  std::ranges::transform(options_.deviation, variance.mutable_span<float>().begin(),
                         [](float deviation) { return deviation * deviation; });
}

Tensor Normalize::forward(const Tensor& x) {
  // A convolution of one pixel and one channel: every kind of deployed graph has it.
  const std::int64_t channels = mean.size();
  Tensor weight = Tensor::empty({channels, 1, 1, 1}), bias = Tensor::empty({channels});
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const float factor = 1 / std::sqrt(variance.span<float>()[c]);
    weight.mutable_span<float>()[c] = factor;
    bias.mutable_span<float>()[c] = -mean.span<float>()[c] * factor;
  }
  return conv2d(x, weight, bias, {.groups = static_cast<int>(channels)});
}

StochasticDepth::StochasticDepth(const Options& options) : options_(options) {
  check(options.rate >= 0 && options.rate < 1, "StochasticDepth: rate {} must be in [0, 1)", options.rate);
  register_rng("rng", rng_);
}

Tensor StochasticDepth::forward(const Tensor& x) {
  if (!training() || options_.rate == 0) return x;
  Tensor factors = Tensor::empty({x.shape()[0], x.shape()[3]});
  const auto values = factors.mutable_span<float>();
  const auto channels = static_cast<std::size_t>(x.shape()[3]);
  for (std::size_t i = 0; i < values.size(); i += channels) {
    const float factor = rng_.uniform() < options_.rate ? 0.0f : 1 / (1 - options_.rate);
    std::ranges::fill(values.subspan(i, channels), factor);
  }
  return multiply(x, factors);
}

void StochasticDepth::reset_own(const Rng& rng) { rng_ = rng.split("rng"); }
std::string StochasticDepth::options() const { return fmt::format("{}", options_.rate); }

SqueezeExcite::SqueezeExcite(const Options& options)
    : reduce_({.in = options.channels, .out = options.reduced}),
      expand_({.in = options.reduced, .out = options.channels}) {
  register_module("squeeze", squeeze_);
  register_module("reduce", reduce_);
  register_module("silu", silu_);
  register_module("expand", expand_);
  register_module("sigmoid", sigmoid_);
  register_module("multiply", multiply_);
}

Tensor SqueezeExcite::gate(const Tensor& mean) { return sigmoid_(expand_(silu_(reduce_(mean)))); }

bool SqueezeExcite::only_gates() const {
  return transforms().empty() && squeeze_.transforms().empty() && multiply_.transforms().empty();
}

Tensor SqueezeExcite::forward(const Tensor& x) { return multiply_(x, gate(squeeze_(x))); }

Residual::Residual(std::string name, std::unique_ptr<Module> body, float drop_rate)
    : body_(std::move(body)), dropping_(drop_rate > 0), drop_({.rate = drop_rate}) {
  register_module(std::move(name), *body_);
  if (dropping_) register_module("drop", drop_);
  register_module("add", add_);
}

Tensor Residual::forward(const Tensor& x) {
  const Tensor y = (*body_)(x);
  return add_(dropping_ ? drop_(y) : y, x);
}

ImageClassifier::ImageClassifier(std::unique_ptr<Module> features, std::unique_ptr<Module> classifier,
                                 const NormalizeOptions& normalize)
    : normalize_(normalize), features_(std::move(features)), classifier_(std::move(classifier)) {
  register_module("normalize", normalize_);
  register_module("features", *features_);
  register_module("pool", pool_);
  register_module("classifier", *classifier_);
}

Tensor ImageClassifier::features(const Tensor& x) { return pool_((*features_)(normalize_(x))); }
Tensor ImageClassifier::forward(const Tensor& x) { return (*classifier_)(features(x)); }

}  // namespace lathe::layers
