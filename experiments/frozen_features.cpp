#include "frozen_features.h"

#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>

#include <algorithm>
#include <mutex>
#include <vector>

namespace lathe::experiments {
namespace {

class FrozenFeatures : public datasets::Dataset {
 public:
  FrozenFeatures(datasets::DatasetPtr images, layers::ImageClassifier& model)
      : images_(std::move(images)), model_(model) {
    const layers::EvalMode mode(model_);
    const NoGrad no_grad;
    const Shape image = images_->image_shape();
    width_ = model_.features(Tensor::zeros({1, image[0], image[1], image[2]})).shape()[1];
  }

  std::int64_t size() const override { return images_->size(); }
  Shape image_shape() const override { return {1, 1, width_}; }
  const std::vector<std::string>& classes() const override { return images_->classes(); }
  std::int32_t label(std::int64_t index) const override { return images_->label(index); }
  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    std::call_once(made_, [this] { make(); });
    const auto width = static_cast<std::size_t>(width_);
    std::copy_n(values_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(index) * width), width,
                out.begin());
  }

 private:
  void make() const {
    const layers::EvalMode mode(model_);
    const NoGrad no_grad;
    const datasets::DataLoader loader(images_, {.batch = 16, .workers = 1});
    values_.reserve(static_cast<std::size_t>(images_->size() * width_));
    for (auto epoch = loader.epoch(0); auto batch = epoch.next();) {
      const Tensor features = model_.features(batch->images);
      values_.insert(values_.end(), features.span<float>().begin(), features.span<float>().end());
    }
  }

  datasets::DatasetPtr images_;
  layers::ImageClassifier& model_;
  std::int64_t width_ = 0;
  mutable std::once_flag made_;
  mutable std::vector<float> values_;
};

class Head : public layers::Module {
 public:
  explicit Head(layers::Module& classifier) : classifier_(classifier) {
    register_module("classifier", classifier);
  }
  std::string type() const override { return "Head"; }

 protected:
  Tensor forward(const Tensor& x) override { return classifier_(flatten(x)); }

 private:
  layers::Module& classifier_;
};

}  // namespace

datasets::DatasetPtr frozen_features(datasets::DatasetPtr images, layers::ImageClassifier& model) {
  return std::make_shared<FrozenFeatures>(std::move(images), model);
}

std::unique_ptr<layers::Module> head_alone(layers::ImageClassifier& model) {
  return std::make_unique<Head>(model.classifier());
}

}  // namespace lathe::experiments
