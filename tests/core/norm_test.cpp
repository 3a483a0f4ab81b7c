#include "support/errors.h"
#include "support/op_cases.h"
#include "support/threads.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace lathe {
namespace {

Tensor zeros(const Shape& shape) { return Tensor::zeros(shape); }
Tensor ones(const Shape& shape) { return Tensor::full(shape, 1); }

/// Channel c is offset + spread * noise.
Tensor noise(const Shape& shape, float offset, float spread) {
  Rng rng(1);
  Tensor x = testing::uniform(shape, rng);
  for (float& value : x.mutable_span<float>()) value = offset + spread * value;
  return x;
}

TEST_CASE("batch norm on wrong inputs names what is wrong") {
  const Tensor x = zeros({2, 3, 3, 4}), c = zeros({4});
  CHECK_ERROR(batch_norm(x, zeros({3}), c, c, c),
              "batch_norm: gamma must be [4], given [3] (input [2,3,3,4])");
  CHECK_ERROR(batch_norm(x, c, c, c, zeros({5})), "batch_norm: moving variance must be [4], given [5]");
  CHECK_ERROR(batch_norm(x, c, {}, c, c), "batch_norm: input 2 must not be empty");
  CHECK_ERROR(batch_norm(Tensor::zeros({2, 4}, Dtype::i8), c, c, c, c),
              "batch_norm: inputs must be f32, given i8");
  CHECK_ERROR(batch_norm(x, c, c, c, c, {.epsilon = -1}), "epsilon must not be negative");
  CHECK_ERROR(batch_norm(x, c, c, c, c, {.momentum = 2}), "momentum must be in [0,1], given 2");
}

TEST_CASE("training moves the moving statistics, evaluation does not") {
  const Tensor x = Tensor::from({1, 10, 3, 30, 5, 50}, {3, 2});
  const Tensor mean = Tensor::from({1, 2}, {2}), variance = Tensor::from({1, 1}, {2});
  batch_norm(x, ones({2}), zeros({2}), mean, variance, {.momentum = 0.75f});
  CHECK(mean.span<float>()[1] == 2);
  batch_norm(x, ones({2}), zeros({2}), mean, variance, {.momentum = 0.75f, .training = true});
  CHECK(mean.span<float>()[0] == doctest::Approx(0.75 * 1 + 0.25 * 3));
  CHECK(mean.span<float>()[1] == doctest::Approx(0.75 * 2 + 0.25 * 30));
  CHECK(variance.span<float>()[0] == doctest::Approx(0.75 + 0.25 * 8 / 3));  // biased
  CHECK(variance.span<float>()[1] == doctest::Approx(0.75 + 0.25 * 800 / 3));
}

TEST_CASE("a mean far larger than the deviation does not spoil the variance") {
  for (const std::int64_t channels : {1, 12, 130}) {
    const Tensor x = noise({50'000 / channels, channels}, 5000, 1);
    const Tensor mean = zeros({channels}), variance = zeros({channels});
    batch_norm(x, ones({channels}), zeros({channels}), mean, variance, {.momentum = 0, .training = true});
    double exact_mean = 0, exact = 0;
    const std::int64_t rows = x.size() / channels;
    const auto at = [&](std::int64_t row) {
      return static_cast<double>(x.span<float>()[static_cast<std::size_t>(row * channels)]);
    };
    for (std::int64_t r = 0; r < rows; ++r) exact_mean += at(r) / static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r)
      exact += std::pow(at(r) - exact_mean, 2) / static_cast<double>(rows);
    CHECK(mean.span<float>()[0] == doctest::Approx(exact_mean).epsilon(1e-7));
    CHECK(variance.span<float>()[0] == doctest::Approx(exact).epsilon(1e-5));
  }
}

TEST_CASE("a constant channel is normalised to beta") {
  const Tensor x = Tensor::full({64, 3}, 0.1f), beta = Tensor::full({3}, 2);
  const Tensor y = batch_norm(x, ones({3}), beta, zeros({3}), ones({3}), {.training = true});
  CHECK(std::ranges::all_of(y.span<float>(), [](float value) { return std::abs(value - 2) < 1e-5f; }));
}

TEST_CASE("what is not a number goes through the fused activation into its channel alone") {
  Tensor x = noise({40, 5}, 0, 1);
  x.mutable_span<float>()[7] = std::numeric_limits<float>::quiet_NaN();  // channel 2
  for (const Activation activation :
       {Activation::none, Activation::relu, Activation::relu6, Activation::silu}) {
    const Tensor y = batch_norm(x, ones({5}), zeros({5}), zeros({5}), ones({5}),
                                {.training = true, .activation = activation});
    CHECK(std::isnan(y.span<float>()[2]));
    CHECK_FALSE(std::isnan(y.span<float>()[3]));
    const Tensor z = batch_norm(x, ones({5}), zeros({5}), zeros({5}), ones({5}), {.activation = activation});
    CHECK(std::isnan(z.span<float>()[7]));
    CHECK_FALSE(std::isnan(z.span<float>()[2]));
  }
}

TEST_CASE("batch norm gives the same bytes for any number of threads") {
  for (const Activation activation : {Activation::relu, Activation::silu}) {
    std::vector<Tensor> results;
    for (int threads : {1, 2, 3}) {
      const Threads scope(threads);
      const Tensor x = noise({20, 30, 31, 12}, 1, 2).set_requires_grad(true);
      const Tensor gamma = ones({12}).set_requires_grad(true), beta = zeros({12}).set_requires_grad(true);
      const Tensor y =
          batch_norm(x, gamma, beta, zeros({12}), ones({12}), {.training = true, .activation = activation});
      y.backward(noise({20, 30, 31, 12}, 0, 1));
      results.insert(results.end(), {y, x.grad(), gamma.grad(), beta.grad()});
    }
    for (std::size_t i = 4; i < results.size(); ++i)
      CHECK(std::ranges::equal(results[i].raw(), results[i % 4].raw()));
  }
}

TEST_CASE("only the gradients that are needed are computed") {
  const Tensor x = noise({40, 5}, 0, 1);
  const Tensor gamma = ones({5}).set_requires_grad(true), beta = zeros({5});
  batch_norm(x, gamma, beta, zeros({5}), ones({5}), {.training = true}).backward(ones({40, 5}));
  CHECK(gamma.grad());
  CHECK_FALSE(beta.grad());
  CHECK_FALSE(x.grad());
}

}  // namespace
}  // namespace lathe
