#include <lathe/core/trace.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/layers.h>

#include "forward_observer.h"

#include <cmath>

namespace lathe::layers {
namespace {

/// Glorot & Bengio 2010, equation 16: uniform in +-sqrt(6 / (fan_in + fan_out)).
void glorot_uniform(Parameter& weight, std::int64_t fan_in, std::int64_t fan_out, Rng rng) {
  const float limit = std::sqrt(6.0f / static_cast<float>(fan_in + fan_out));
  rng.fill_uniform(weight.master().mutable_span<float>(), -limit, limit);
}

void fill(Tensor& tensor, float value) { std::ranges::fill(tensor.mutable_span<float>(), value); }

void fill_zero(Parameter& parameter) {
  if (parameter) fill(parameter.master(), 0);
}

std::string activation_text(Activation activation) {
  return activation == Activation::none ? "" : " " + std::string(graph::to_string(activation));
}

std::string window_text(int kernel_h, int kernel_w, int stride, Padding padding) {
  return fmt::format("{}x{}{}{}", kernel_h, kernel_w, stride == 1 ? "" : fmt::format(" stride {}", stride),
                     padding == Padding::valid() ? "" : " " + graph::to_string(padding));
}

}  // namespace

Conv2d::Conv2d(const Options& options) : options_(options) {
  if (options_.kernel_w == 0) options_.kernel_w = options.kernel;
  check(options.in > 0 && options.out > 0 && options.kernel > 0 && options_.kernel_w > 0 &&
            options.stride > 0 && options.groups > 0,
        "Conv2d: in {}, out {}, kernel {}x{}, stride {} and groups {} must be positive", options.in,
        options.out, options.kernel, options_.kernel_w, options.stride, options.groups);
  check(options.in % options.groups == 0 && options.out % options.groups == 0,
        "Conv2d: in {} and out {} must be multiples of groups {}", options.in, options.out, options.groups);
  weight = Parameter({options.out, options.kernel, options_.kernel_w, options.in / options.groups});
  register_parameter("weight", weight);
  if (options.bias) {
    bias = Parameter({options.out});
    register_parameter("bias", bias);
  }
}

graph::Conv2d Conv2d::op() const {
  return {.stride_h = options_.stride,
          .stride_w = options_.stride,
          .padding = options_.padding,
          .groups = options_.groups,
          .activation = options_.activation};
}

Tensor Conv2d::forward(const Tensor& x) { return conv2d(x, weight.value(), bias.value(), op()); }

bool Conv2d::can_join() const {
  return (!output_transform() || output_transform()->keeps_order()) && !TraceScope::active() &&
         !detail::ForwardObserver::watching();
}

Tensor Conv2d::pooled(const Tensor& x) {
  return call([&] { return conv2d_max_pool(transformed(x), weight.value(), bias.value(), op()); });
}

void Conv2d::reset_own(const Rng& rng) {
  const std::int64_t window = std::int64_t{options_.kernel} * options_.kernel_w;
  glorot_uniform(weight, window * options_.in / options_.groups, window * options_.out / options_.groups,
                 rng.split("weight"));
  fill_zero(bias);
}

std::string Conv2d::options() const {
  return fmt::format("{} {}{}{}{}", options_.out,
                     window_text(options_.kernel, options_.kernel_w, options_.stride, options_.padding),
                     options_.groups == 1 ? "" : fmt::format(" groups {}", options_.groups),
                     options_.bias ? "" : " no bias", activation_text(options_.activation));
}

DepthwiseConv2d::DepthwiseConv2d(const Options& options) : options_(options) {
  check(options.channels > 0 && options.kernel > 0 && options.stride > 0,
        "DepthwiseConv2d: channels {}, kernel {} and stride {} must be positive", options.channels,
        options.kernel, options.stride);
  weight = Parameter({options.channels, options.kernel, options.kernel, 1});
  register_parameter("weight", weight);
  if (options.bias) {
    bias = Parameter({options.channels});
    register_parameter("bias", bias);
  }
}

Tensor DepthwiseConv2d::forward(const Tensor& x) {
  return conv2d(x, weight.value(), bias.value(),
                {.stride_h = options_.stride,
                 .stride_w = options_.stride,
                 .padding = options_.padding,
                 .groups = options_.channels,
                 .activation = options_.activation});
}

void DepthwiseConv2d::reset_own(const Rng& rng) {
  // Each channel is a network of its own: its fan is the window, not the window times all channels as in
  // Keras.
  const std::int64_t window = std::int64_t{options_.kernel} * options_.kernel;
  glorot_uniform(weight, window, window, rng.split("weight"));
  fill_zero(bias);
}

std::string DepthwiseConv2d::options() const {
  return window_text(options_.kernel, options_.kernel, options_.stride, options_.padding) +
         (options_.bias ? "" : " no bias") + activation_text(options_.activation);
}

Linear::Linear(const Options& options) : options_(options) {
  check(options.in > 0 && options.out > 0, "Linear: in {} and out {} must be positive", options.in,
        options.out);
  weight = Parameter({options.out, options.in});
  register_parameter("weight", weight);
  if (options.bias) {
    bias = Parameter({options.out});
    register_parameter("bias", bias);
  }
}

Tensor Linear::forward(const Tensor& x) {
  return linear(x, weight.value(), bias.value(), {.activation = options_.activation});
}

void Linear::reset_own(const Rng& rng) {
  glorot_uniform(weight, options_.in, options_.out, rng.split("weight"));
  fill_zero(bias);
}

std::string Linear::options() const {
  return fmt::format("{}{}{}", options_.out, options_.bias ? "" : " no bias",
                     activation_text(options_.activation));
}

BatchNorm2d::BatchNorm2d(const Options& options) : options_(options) {
  check(options.channels > 0, "BatchNorm2d: channels {} must be positive", options.channels);
  check(options.epsilon > 0, "BatchNorm2d: epsilon {} must be positive", options.epsilon);
  set_momentum(options.momentum);
  const Shape shape{options.channels};
  gamma = Parameter(shape), beta = Parameter(shape);
  moving_mean = Tensor::zeros(shape), moving_variance = Tensor::full(shape, 1);
  fill(gamma.master(), 1);
  if (options.scale)
    register_parameter("gamma", gamma);
  else
    gamma.master().set_requires_grad(false);
  register_parameter("beta", beta);
  register_buffer("moving_mean", moving_mean);
  register_buffer("moving_variance", moving_variance);
}

void BatchNorm2d::set_momentum(float momentum) {
  check(momentum >= 0 && momentum <= 1, "BatchNorm2d: momentum {} must be in 0..1", momentum);
  options_.momentum = momentum;
}

graph::BatchNorm BatchNorm2d::op(Activation activation) const {
  return {.epsilon = options_.epsilon,
          .momentum = options_.momentum,
          .training = training(),
          .activation = activation};
}

Tensor BatchNorm2d::forward(const Tensor& x) {
  return batch_norm(x, gamma.value(), beta.value(), moving_mean, moving_variance, op(options_.activation));
}

bool BatchNorm2d::can_join() const {
  return training() && options_.activation == Activation::none && !input_transform() && !output_transform() &&
         !detail::ForwardObserver::watching();
}

Tensor BatchNorm2d::with_silu(const Tensor& x) {
  return call([&] {
    return batch_norm(x, gamma.value(), beta.value(), moving_mean, moving_variance, op(Activation::silu));
  });
}

Tensor BatchNorm2d::gated(const Tensor& x, FunctionRef<Tensor(const Tensor& mean)> gate) {
  return call([&] {
    return gated_batch_norm(x, gamma.value(), beta.value(), moving_mean, moving_variance,
                            op(Activation::silu), gate);
  });
}

void BatchNorm2d::reset_own(const Rng&) {
  fill(gamma.master(), 1);
  fill(beta.master(), 0);
  fill(moving_mean, 0);
  fill(moving_variance, 1);
}

std::string BatchNorm2d::options() const {
  std::string text;
  if (options_.epsilon != Options{}.epsilon) text += fmt::format(" epsilon {}", options_.epsilon);
  if (options_.momentum != Options{}.momentum) text += fmt::format(" momentum {}", options_.momentum);
  if (!options_.scale) text += " no scale";
  text += activation_text(options_.activation);
  return text.empty() ? text : text.substr(1);
}

namespace {

void check_pool(const char* type, const MaxPool2d::Options& options) {
  check(options.kernel > 0 && options.stride >= 0,
        "{}: kernel {} must be positive and stride {} not negative", type, options.kernel, options.stride);
}

/// Both pool ops have these fields in this order.
template <typename Op>
Op pool_op(const MaxPool2d::Options& options) {
  const int stride = options.stride == 0 ? options.kernel : options.stride;
  return {options.kernel, options.kernel, stride, stride, options.padding};
}

std::string pool_options(const MaxPool2d::Options& options) {
  const bool plain = options.stride == 0 || options.stride == options.kernel;
  return window_text(options.kernel, options.kernel, plain ? 1 : options.stride, options.padding);
}

}  // namespace

MaxPool2d::MaxPool2d(const Options& options) : options_(options) { check_pool("MaxPool2d", options); }
Tensor MaxPool2d::forward(const Tensor& x) { return max_pool2d(x, pool_op<graph::MaxPool2d>(options_)); }
std::string MaxPool2d::options() const { return pool_options(options_); }
bool MaxPool2d::halves() const { return pool_op<graph::MaxPool2d>(options_) == graph::MaxPool2d{}; }

AvgPool2d::AvgPool2d(const Options& options) : options_(options) { check_pool("AvgPool2d", options); }
Tensor AvgPool2d::forward(const Tensor& x) { return avg_pool2d(x, pool_op<graph::AvgPool2d>(options_)); }
std::string AvgPool2d::options() const { return pool_options(options_); }

Dropout::Dropout(const Options& options) : options_(options) {
  check(options.rate >= 0 && options.rate < 1, "Dropout: rate {} must be in [0, 1)", options.rate);
  register_rng("rng", rng_);
}

Tensor Dropout::forward(const Tensor& x) {
  return training() && options_.rate > 0 ? dropout(x, options_.rate, rng_) : x;
}
void Dropout::reset_own(const Rng& rng) { rng_ = rng.split("rng"); }
std::string Dropout::options() const { return fmt::format("{}", options_.rate); }

Tensor Add::operator()(const Tensor& a, const Tensor& b) {
  return call([&] { return add(a, b, options_.activation); });
}
Tensor Add::forward(const Tensor&) { fail("Add: takes two inputs"); }
std::string Add::options() const {
  return std::string(options_.activation == Activation::none ? "" : graph::to_string(options_.activation));
}

Tensor Multiply::operator()(const Tensor& a, const Tensor& b) {
  return call([&] { return multiply(a, b); });
}
Tensor Multiply::forward(const Tensor&) { fail("Multiply: takes two inputs"); }

Tensor Concat::operator()(std::span<const Tensor> inputs) {
  return call([&] { return concat(inputs); });
}
Tensor Concat::forward(const Tensor& x) { return concat(std::span(&x, 1)); }

void Sequential::append(std::string name, std::unique_ptr<Module> layer) {
  register_module(std::move(name), *layer);
  layers_.push_back(std::move(layer));
}

template <typename Layer>
Layer* Sequential::plain(std::size_t next) const {
  auto* const layer = next < layers_.size() ? dynamic_cast<Layer*>(layers_[next].get()) : nullptr;
  return layer != nullptr && layer->transforms().empty() ? layer : nullptr;
}

Tensor Sequential::run(std::size_t& next, const Tensor& x) {
  Module& layer = *layers_[next++];
  if (auto* const conv = dynamic_cast<Conv2d*>(&layer); conv != nullptr && conv->can_join()) {
    const auto* const pool = plain<MaxPool2d>(next);
    if (pool == nullptr || !pool->halves()) return layer(x);
    ++next;
    return conv->pooled(x);
  }
  auto* const norm = dynamic_cast<BatchNorm2d*>(&layer);
  if (norm == nullptr || !norm->can_join() || plain<Silu>(next) == nullptr) return layer(x);
  auto* const excite = ++next < layers_.size() ? dynamic_cast<SqueezeExcite*>(layers_[next].get()) : nullptr;
  if (excite == nullptr || !excite->only_gates()) return norm->with_silu(x);
  ++next;
  return norm->gated(x, [&](const Tensor& mean) { return excite->gate(mean); });
}

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (std::size_t next = 0; next < layers_.size();) y = run(next, y);
  return y;
}

}  // namespace lathe::layers
