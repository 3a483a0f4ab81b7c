#include "support/errors.h"

#include <lathe/core/autograd.h>
#include <lathe/layers/layers.h>

#include <cmath>

using namespace lathe;

TEST_CASE("layers compute what their op computes") {
  layers::Linear linear({.in = 2, .out = 1});
  linear.weight.master().mutable_span<float>()[0] = 2;
  linear.weight.master().mutable_span<float>()[1] = -1;
  linear.bias.master().mutable_span<float>()[0] = 0.5f;
  CHECK(linear(Tensor::from({3, 4}, {1, 2})).item() == 2.5f);
}

TEST_CASE("weights start within the Glorot limit, biases at zero, batch norm as identity") {
  layers::Conv2d conv({.in = 3, .out = 8, .kernel = 5});
  conv.reset(Rng(1));
  const float limit = std::sqrt(6.0f / (25 * 3 + 25 * 8));
  float largest = 0;
  const Tensor weight = conv.weight.value();
  for (float w : weight.span<float>()) largest = std::max(largest, std::abs(w));
  CHECK(largest <= limit);
  CHECK(largest > 0.9f * limit);
  const Tensor bias = conv.bias.value();
  for (float b : bias.span<float>()) CHECK(b == 0);

  layers::BatchNorm2d norm({.channels = 2});
  norm.eval();
  const Tensor y = norm(Tensor::from({1, 2, 3, 4}, {2, 2}));
  CHECK(y.span<float>()[3] == doctest::Approx(4).epsilon(1e-3));
}

TEST_CASE("kernels may be wider than high, and batch norm may have no scale") {
  layers::Conv2d wide({.in = 2, .out = 3, .kernel = 1, .padding = Padding::same(), .kernel_w = 7});
  CHECK(wide.weight.master().shape() == Shape{3, 1, 7, 2});
  CHECK(wide.options() == "3 1x7 same");
  wide.reset(Rng(1));
  CHECK(wide(Tensor::full({1, 4, 9, 2}, 1)).shape() == Shape{1, 4, 9, 3});
  CHECK_ERROR(layers::Conv2d({.kernel = 3, .kernel_w = -1}), "Conv2d: in 1, out 1, kernel 3x-1, stride 1");
  layers::BatchNorm2d norm({.channels = 2, .scale = false});
  REQUIRE(norm.parameters().size() == 1);
  CHECK(norm.parameters()[0].name == "beta");
  CHECK(norm.options() == "no scale");
  const Tensor y = norm(Tensor::from({0, 2, 4, 6}, {2, 1, 1, 2}));
  CHECK(y.span<float>()[0] == doctest::Approx(-1).epsilon(1e-3));
  sum(y).backward();
  const Tensor grad = norm.beta.master().grad();
  CHECK(grad.span<float>()[1] == 2);
  norm.eval();
  CHECK(norm(Tensor::full({1, 1, 1, 2}, 1)).shape() == Shape{1, 1, 1, 2});
}

TEST_CASE("batch norm moves its statistics in training only") {
  layers::BatchNorm2d norm({.channels = 1, .momentum = 0.5f});
  const Tensor x = Tensor::from({1, 3}, {2, 1});
  norm(x);
  CHECK(norm.moving_mean.span<float>()[0] == doctest::Approx(1));
  CHECK(norm.moving_variance.span<float>()[0] == doctest::Approx(1));
  norm.eval();
  norm(x);
  CHECK(norm.moving_mean.span<float>()[0] == doctest::Approx(1));
}

TEST_CASE("dropout drops in training, passes in evaluation, and continues from a saved state") {
  layers::Dropout dropout({.rate = 0.25f});
  dropout.reset(Rng(9));
  const Tensor x = Tensor::full({100, 100}, 3);
  const Rng::State before = dropout.rngs()[0].second->state();
  const Tensor y = dropout(x);
  std::int64_t zeros = 0;
  for (float v : y.span<float>()) {
    const bool fine = v == 0 || v == doctest::Approx(4);
    CHECK(fine);
    zeros += v == 0;
  }
  CHECK(zeros == doctest::Approx(2500).epsilon(0.08));
  *dropout.rngs()[0].second = Rng(before);
  const Tensor again = dropout(x);
  CHECK(std::ranges::equal(again.span<float>(), y.span<float>()));
  dropout.eval();
  CHECK(dropout(x).is(x));
}

TEST_CASE("pools default to their kernel as stride") {
  layers::MaxPool2d pool;
  CHECK(pool(Tensor::zeros({1, 5, 4, 2})).shape() == Shape{1, 2, 2, 2});
  layers::AvgPool2d overlapping({.kernel = 3, .stride = 1});
  CHECK(overlapping(Tensor::zeros({1, 5, 4, 2})).shape() == Shape{1, 3, 2, 2});
  CHECK_ERROR(layers::MaxPool2d({.kernel = 0}), "kernel 0 must be positive");
}

TEST_CASE("joining layers take several inputs") {
  layers::Add add;
  layers::Multiply multiply;
  layers::Concat concat;
  const Tensor a = Tensor::full({1, 2, 2, 3}, 2), b = Tensor::full({1, 2, 2, 3}, 5);
  CHECK(sum(add(a, b)).item() == 12 * 7);
  CHECK(sum(multiply(a, Tensor::full({1, 3}, 3))).item() == 12 * 6);
  const Tensor both[] = {a, b};
  CHECK(concat(both).shape() == Shape{1, 2, 2, 6});
}
