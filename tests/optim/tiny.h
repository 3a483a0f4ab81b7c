#pragma once

#include <lathe/base/random.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/layers.h>
#include <lathe/optim/trainer.h>

#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

/// A problem that is learnt in a second: 6x6 images with a bright spot in one of three places, and noise.
class Spots : public lathe::datasets::Dataset {
 public:
  explicit Spots(std::int64_t size, std::uint64_t seed = 1) : size_(size), rng_(seed) {}

  std::int64_t size() const override { return size_; }
  lathe::Shape image_shape() const override { return {6, 6, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override {
    return static_cast<std::int32_t>(rng_.split(static_cast<std::uint64_t>(index)).split("label").below(3));
  }
  void read(std::int64_t index, std::span<float> out, const lathe::Rng&) const override {
    lathe::Rng noise = rng_.split(static_cast<std::uint64_t>(index)).split("noise");
    noise.fill_uniform(out, -0.5f, 0.5f);
    out[static_cast<std::size_t>(7 * (2 * label(index)))] += 1;
    if (index == broken) out[3] = std::numeric_limits<float>::infinity();
  }

  std::int64_t broken = -1;  ///< an image with a pixel that is not finite

 private:
  std::int64_t size_;
  lathe::Rng rng_;
  std::vector<std::string> classes_ = {"left", "middle", "right"};
};

inline lathe::datasets::DataLoader spots(std::int64_t size, std::uint64_t seed = 1) {
  return {std::make_shared<Spots>(size, seed), {.batch = 16, .shuffle = true, .seed = seed}};
}

/// With everything that keeps state: convolution, batch norm, dropout, linear.
inline std::unique_ptr<lathe::layers::Sequential> tiny_model(std::uint64_t seed = 3) {
  using namespace lathe;
  auto model = std::make_unique<layers::Sequential>();
  model->add<layers::Conv2d>("conv", {.in = 1, .out = 4, .kernel = 3, .bias = false});
  model->add<layers::BatchNorm2d>("norm", {.channels = 4, .momentum = 0.9f, .activation = Activation::relu});
  model->add<layers::Flatten>("flatten");
  model->add<layers::Dropout>("dropout", {.rate = 0.2f});
  model->add<layers::Linear>("linear", {.in = 64, .out = 3});
  model->reset(Rng(seed));
  return model;
}

inline bool same_bytes(const lathe::Tensor& a, const lathe::Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw().data(), b.raw().data(), a.raw().size()) == 0;
}

inline bool same_bytes(const std::vector<lathe::layers::NamedTensor>& a,
                       const std::vector<lathe::layers::NamedTensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].name != b[i].name || !same_bytes(a[i].tensor, b[i].tensor)) return false;
  return true;
}

/// Calls a function after each step.
template <typename F>
class AtStepEnd : public lathe::optim::Callback {
 public:
  explicit AtStepEnd(F f) : f_(std::move(f)) {}
  void step_end(lathe::optim::TrainState& state) override { f_(state); }

 private:
  F f_;
};
template <typename F>
std::unique_ptr<AtStepEnd<F>> at_step_end(F f) {
  return std::make_unique<AtStepEnd<F>>(std::move(f));
}
