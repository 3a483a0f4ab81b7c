#include <lathe/core/autograd.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>

#include <cmath>

#include "support/errors.h"

using namespace lathe;

namespace {

layers::ParameterTotals totals(const char* name) {
  return layers::count_parameters(*layers::find_model(name).make());
}

Tensor noise(const Shape& shape, std::uint64_t seed) {
  Tensor x = Tensor::empty(shape);
  Rng(seed).fill_uniform(x.mutable_span<float>(), 0, 1);
  return x;
}

}  // namespace

TEST_CASE("the networks for photos have their published totals of parameters") {
  CHECK(totals("efficientnet_b0").all == 4'740'453);
  CHECK(totals("efficientnet_b0").trainable == 4'697'406);
  // 3,487,816 with the 1000 classes of ImageNet and batch norm folded; here two classes, and seven constants
  // of the normalisation.
  CHECK(totals("mobilenet_v2").trainable == 3'487'816 - 1001 * 1280 + 280 + 2 * 1281);
  CHECK(layers::count_parameters(*layers::mobilenet_v2(1000)).trainable == 3'487'816);
  CHECK(layers::count_parameters(*layers::mobilenet_v2(1000)).all == 3'487'823);
}

TEST_CASE("the networks for photos give a logit for each class, and gradients to all parameters") {
  for (const char* name : {"small_cnn", "mobilenet_v2", "efficientnet_b0"}) {
    CAPTURE(std::string(name));
    const layers::ModelInfo& info = layers::find_model(name);
    const auto model = info.make();
    model->reset(Rng(1));
    const Tensor images = noise(Shape{2, 64, 64, 3}, 1);
    const Tensor logits = (*model)(images);
    CHECK(logits.shape() == Shape{2, 2});
    const std::vector<std::int32_t> labels{0, 1};
    cross_entropy(logits, Tensor::from(std::span(labels), {2})).backward();
    for (const auto& named : model->parameters()) {
      CAPTURE(named.name);
      CHECK(static_cast<bool>(named.parameter.master().grad()));
    }
    model->eval();
    const NoGrad no_grad;
    const Tensor once = (*model)(images), again = (*model)(images);
    CHECK(std::equal(once.span<float>().begin(), once.span<float>().end(), again.span<float>().begin()));
  }
}

TEST_CASE("mobilenet_v2 names its tensors as torchvision does") {
  const auto model = layers::mobilenet_v2(1000);
  std::vector<std::pair<std::string, std::string>> shapes;
  for (const auto& [name, parameter] : model->parameters())
    shapes.emplace_back(name, to_string(parameter.master().shape()));
  CHECK(shapes.size() == 106);
  const auto shape_of = [&](const std::string& name) -> std::string {
    for (const auto& [own, shape] : shapes)
      if (own == name) return shape;
    return "none";
  };
  CHECK(shape_of("features.0.0.weight") == "[32,3,3,3]");
  CHECK(shape_of("features.1.conv.0.0.weight") == "[32,3,3,1]");
  CHECK(shape_of("features.1.conv.1.weight") == "[16,1,1,32]");
  CHECK(shape_of("features.2.conv.0.0.weight") == "[96,1,1,16]");
  CHECK(shape_of("features.17.conv.1.0.weight") == "[960,3,3,1]");
  CHECK(shape_of("features.17.conv.2.bias") == "[320]");
  CHECK(shape_of("features.18.0.weight") == "[1280,1,1,320]");
  CHECK(shape_of("classifier.1.weight") == "[1000,1280]");
}

TEST_CASE("Normalize: (x - mean) / deviation for each channel, with constants that reset restores") {
  layers::Normalize normalize({.mean = {0.5f, 0.25f}, .deviation = {0.5f, 0.125f}});
  const Tensor y = normalize(Tensor::from({0.5f, 0.25f, 1.0f, 0.5f}, {1, 1, 2, 2}));
  CHECK(y.shape() == Shape{1, 1, 2, 2});
  const float expected[] = {0, 0, 1, 2};
  for (std::size_t i = 0; i < 4; ++i) CHECK(y.span<float>()[i] == doctest::Approx(expected[i]));
  CHECK(layers::count_parameters(normalize).all == 5);
  CHECK(layers::count_parameters(normalize).trainable == 0);
  normalize.mean.mutable_span<float>()[0] = 7;
  normalize.reset(Rng(1));
  CHECK(normalize.mean.span<float>()[0] == 0.5f);
  CHECK_ERROR(layers::Normalize({.mean = {1, 2}, .deviation = {1}}), "Normalize: 2 means and 1 deviations");
  CHECK_ERROR(layers::Normalize({.mean = {1}, .deviation = {0}}), "Normalize: deviation 0 must be positive");
}

TEST_CASE("StochasticDepth leaves out whole samples in training and scales the others") {
  layers::StochasticDepth drop({.rate = 0.25f});
  drop.reset(Rng(3));
  const Tensor x = Tensor::full({400, 2, 2, 3}, 3);
  const Tensor y = drop(x);
  int dropped = 0;
  for (std::size_t sample = 0; sample < 400; ++sample) {
    const auto values = y.span<float>().subspan(sample * 12, 12);
    for (const float value : values) CHECK(value == values[0]);
    CHECK((values[0] == 0 || values[0] == doctest::Approx(4)));
    dropped += values[0] == 0;
  }
  CHECK(dropped > 70);
  CHECK(dropped < 130);
  drop.eval();
  const Tensor whole = drop(x);
  CHECK(whole.span<float>()[0] == 3);
  CHECK_ERROR(layers::StochasticDepth({.rate = 1}), "StochasticDepth: rate 1 must be in [0, 1)");
}

TEST_CASE("SqueezeExcite scales each channel by what its means say") {
  layers::SqueezeExcite layer({.channels = 2, .reduced = 1});
  // With zero weights every factor is sigmoid(bias).
  for (auto& [name, parameter] : layer.parameters()) {
    for (float& value : parameter.master().mutable_span<float>()) value = 0;
    if (name == "expand.bias") parameter.master().mutable_span<float>()[1] = std::log(3.0f);
  }
  const Tensor y = layer(Tensor::full({1, 2, 2, 2}, 4));
  for (std::size_t i = 0; i < 8; ++i) CHECK(y.span<float>()[i] == doctest::Approx(i % 2 == 0 ? 2 : 3));
}

TEST_CASE("Residual adds its input to what its body gives") {
  auto body = std::make_unique<layers::Sequential>();
  body->add<layers::Relu>("relu");
  layers::Residual residual("body", std::move(body));
  const Tensor y = residual(Tensor::from({-1, 2}, {1, 1, 1, 2}));
  CHECK(y.span<float>()[0] == -1);
  CHECK(y.span<float>()[1] == 4);
}
