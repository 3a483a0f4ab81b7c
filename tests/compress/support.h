#pragma once

#include <lathe/base/random.h>
#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/layers.h>
#include <lathe/layers/models.h>
#include <lathe/optim/trainer.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

/// Small models and data for the tests of compression methods.
namespace lathe::testing {

/// Convolution, batch norm, depthwise, dropout, linear: 8x8 images, 3 classes.
inline std::unique_ptr<layers::Sequential> small_model(std::uint64_t seed = 3) {
  auto model = std::make_unique<layers::Sequential>();
  model->add<layers::Conv2d>("conv", {.in = 1, .out = 8, .kernel = 3, .bias = false});
  model->add<layers::BatchNorm2d>("norm", {.channels = 8, .momentum = 0.9f, .activation = Activation::relu});
  model->add<layers::DepthwiseConv2d>("depthwise", {.channels = 8, .kernel = 3});
  model->add<layers::Conv2d>("pointwise", {.in = 8, .out = 12, .kernel = 1, .activation = Activation::relu});
  model->add<layers::Flatten>("flatten");
  model->add<layers::Dropout>("dropout", {.rate = 0.2f});
  model->add<layers::Linear>("linear", {.in = 192, .out = 3});
  model->reset(Rng(seed));
  return model;
}

/// 8x8 images with a bright spot in one of three places, and noise.
class Spots : public datasets::Dataset {
 public:
  explicit Spots(std::int64_t size, std::uint64_t seed = 1) : size_(size), rng_(seed) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {8, 8, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override {
    return static_cast<std::int32_t>(rng_.split(static_cast<std::uint64_t>(index)).split("label").below(3));
  }
  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    Rng noise = rng_.split(static_cast<std::uint64_t>(index)).split("noise");
    noise.fill_uniform(out, -0.5f, 0.5f);
    out[static_cast<std::size_t>(18 * (label(index) + 1))] += 1;
  }

 private:
  std::int64_t size_;
  Rng rng_;
  std::vector<std::string> classes_ = {"left", "middle", "right"};
};

inline datasets::DataLoader spots(std::int64_t size, std::uint64_t seed = 1) {
  return {std::make_shared<Spots>(size, seed), {.batch = 16, .shuffle = true, .seed = seed}};
}

inline Tensor images(std::int64_t count = 5) {
  Tensor x = Tensor::empty({count, 8, 8, 1});
  Rng(7).fill_uniform(x.mutable_span<float>(), -1, 1);
  return x;
}

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw().data(), b.raw().data(), a.raw().size()) == 0;
}

inline std::vector<float> elements(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

inline std::int64_t zeros(const Tensor& tensor) { return std::ranges::count(tensor.span<float>(), 0.0f); }

/// The parameter of this name. Fails the test when there is none.
inline layers::Parameter parameter(const layers::Module& model, const std::string& name) {
  for (const layers::NamedParameter& named : model.parameters())
    if (named.name == name) return named.parameter;
  fail("test: no parameter '{}'", name);
}

inline Tensor value(const layers::Module& model, const std::string& name) {
  const NoGrad no_grad;
  return parameter(model, name).value();
}

inline Tensor evaluate(layers::Module& model, const Tensor& x) {
  const NoGrad no_grad;
  const layers::EvalMode mode(model);
  return model(x);
}

/// Calls a function at a place of the training.
class Hooks : public optim::Callback {
 public:
  using Hook = std::function<void(optim::TrainState&)>;
  Hook at_step_begin, at_step_end, at_epoch_end, at_eval_end;
  void step_begin(optim::TrainState& s) override { call(at_step_begin, s); }
  void step_end(optim::TrainState& s) override { call(at_step_end, s); }
  void epoch_end(optim::TrainState& s) override { call(at_epoch_end, s); }
  void eval_end(optim::TrainState& s) override { call(at_eval_end, s); }

 private:
  static void call(const Hook& hook, optim::TrainState& state) {
    if (hook) hook(state);
  }
};

}  // namespace lathe::testing
