#include "support/errors.h"
#include "support/op_cases.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace lathe {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor zeros(const Shape& shape) { return Tensor::zeros(shape); }
Tensor labels(std::vector<std::int32_t> values) {
  return Tensor::from(std::span<const std::int32_t>(values), {static_cast<std::int64_t>(values.size())});
}

TEST_CASE("losses on wrong inputs name the operation, shapes and labels") {
  CHECK_ERROR(cross_entropy(zeros({2, 3}), labels({0})),
              "cross_entropy: labels must be [2], given [1] (logits [2,3])");
  CHECK_ERROR(cross_entropy(zeros({2, 3}), zeros({2})), "cross_entropy: labels must be i32, given f32");
  CHECK_ERROR(cross_entropy(zeros({2, 3}), labels({0, 3})),
              "cross_entropy: label 3 of sample 1 is outside [0,3) (logits [2,3])");
  CHECK_ERROR(cross_entropy(zeros({2, 3}), labels({-1, 0})), "label -1 of sample 0 is outside");
  CHECK_ERROR(cross_entropy(zeros({2, 3}), labels({0, 0}), 1), "label smoothing must be in [0,1), given 1");
  CHECK_ERROR(cross_entropy(Tensor::zeros({2, 3}, Dtype::i32), labels({0, 0})),
              "inputs must be f32, given i32");
  CHECK_ERROR(cross_entropy(zeros({2, 3}), {}), "cross_entropy: input 1 must not be empty");
  CHECK_ERROR(kl_divergence(zeros({2, 3}), zeros({2, 4})), "kl_divergence: inputs must have the same shape");
  CHECK_ERROR(kl_divergence(zeros({2, 3}), zeros({2, 3}), 0), "temperature must be positive, given 0");
  CHECK_ERROR(mean_squared_error(zeros({2, 3}), zeros({3, 2})), "given [2,3] and [3,2]");
  CHECK_ERROR(softmax(zeros({})), "softmax: input must be [...,C], given a scalar");
  CHECK_ERROR(log_softmax({}), "log_softmax: input 0 must not be empty");
}

TEST_CASE("equal logits cost the logarithm of the number of classes") {
  CHECK(cross_entropy(Tensor::full({4, 10}, 3), labels({0, 5, 9, 2})).item() ==
        doctest::Approx(std::numbers::ln10).epsilon(1e-6));
  CHECK(kl_divergence(Tensor::full({4, 10}, 3), Tensor::full({4, 10}, -2), 3).item() == doctest::Approx(0));
}

TEST_CASE("logits far apart neither overflow nor lose the loss") {
  const Tensor logits = Tensor::from({1000, 0, -1000, 0}, {2, 2});
  CHECK(cross_entropy(logits, labels({0, 1})).item() == 0);
  CHECK(cross_entropy(logits, labels({1, 0})).item() == 1000);
  const Tensor logs = log_softmax(logits), probabilities = softmax(logits);
  CHECK(logs.span<float>()[1] == -1000);
  CHECK(probabilities.span<float>()[0] == 1);
}

TEST_CASE("a loss of what is not finite is not finite, with and without a gradient") {
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (const bool gradient : {false, true}) {
      CAPTURE(bad);
      Tensor logits = Tensor::full({20, 10}, bad == -kInfinity ? bad : 1);
      logits.mutable_span<float>()[137] = bad;
      logits.set_requires_grad(gradient);
      const Tensor target = zeros({20, 10});
      CHECK_FALSE(std::isfinite(cross_entropy(logits, labels(std::vector<std::int32_t>(20, 3))).item()));
      CHECK_FALSE(
          std::isfinite(cross_entropy(logits, labels(std::vector<std::int32_t>(20, 3)), 0.1f).item()));
      CHECK_FALSE(std::isfinite(kl_divergence(logits, target, 2).item()));
      CHECK_FALSE(std::isfinite(kl_divergence(target, logits, 2).item()));
      CHECK_FALSE(std::isfinite(mean_squared_error(logits, target).item()));
      const Tensor y = softmax(logits), z = log_softmax(logits);
      CHECK(std::ranges::any_of(y.span<float>(), [](float value) { return std::isnan(value); }));
      CHECK(std::ranges::any_of(z.span<float>(), [](float value) { return std::isnan(value); }));
    }
  }
}

TEST_CASE("the loss is the same with and without a gradient") {
  Rng rng(1);
  Tensor logits = testing::uniform({33, 10}, rng, -5, 5);
  const Tensor label = labels(std::vector<std::int32_t>(33, 7)), target = testing::uniform({33, 10}, rng);
  const float plain[] = {cross_entropy(logits, label).item(), kl_divergence(logits, target).item()};
  logits.set_requires_grad(true);
  CHECK(cross_entropy(logits, label).item() == doctest::Approx(plain[0]).epsilon(1e-6));
  CHECK(kl_divergence(logits, target).item() == doctest::Approx(plain[1]).epsilon(1e-6));
}

TEST_CASE("targets get no gradient") {
  Tensor x = zeros({2, 3}), target = Tensor::full({2, 3}, 1);
  target.set_requires_grad(true);
  CHECK_FALSE(kl_divergence(x, target).requires_grad());
  CHECK_FALSE(mean_squared_error(x, target).requires_grad());
  x.set_requires_grad(true);
  mean_squared_error(x, target).backward();
  kl_divergence(x, target).backward();
  CHECK(x.grad());
  CHECK_FALSE(target.grad());
}

}  // namespace
}  // namespace lathe
