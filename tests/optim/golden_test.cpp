// The loss curve of a linear classifier under Adam, against the same ten steps written out in double.
#include <lathe/core/ops.h>
#include <lathe/optim/optimizer.h>

#include "tiny.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace lathe;

namespace {

constexpr int kClasses = 3, kInputs = 36, kSamples = 32, kSteps = 10;

struct Problem {
  std::vector<double> x, weight;
  std::vector<int> label;
};

/// Softmax regression with bias, gradient of the mean cross-entropy, and Adam as Keras has it.
std::vector<double> curve_in_double(const Problem& problem, double rate, double beta1, double beta2,
                                    double epsilon) {
  constexpr int kParameters = kClasses * (kInputs + 1);  // the bias is the last input
  std::vector<double> w(kParameters), m(kParameters), v(kParameters), losses;
  for (int c = 0; c < kClasses; ++c)
    for (int i = 0; i < kInputs; ++i) w[c * (kInputs + 1) + i] = problem.weight[c * kInputs + i];
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<double> grad(kParameters);
    double loss = 0;
    for (int n = 0; n < kSamples; ++n) {
      std::array<double, kClasses> p{};
      double sum = 0;
      for (int c = 0; c < kClasses; ++c) {
        double logit = w[c * (kInputs + 1) + kInputs];
        for (int i = 0; i < kInputs; ++i) logit += w[c * (kInputs + 1) + i] * problem.x[n * kInputs + i];
        sum += p[c] = std::exp(logit);
      }
      loss -= std::log(p[problem.label[n]] / sum) / kSamples;
      for (int c = 0; c < kClasses; ++c) {
        const double d = (p[c] / sum - (c == problem.label[n])) / kSamples;
        for (int i = 0; i < kInputs; ++i) grad[c * (kInputs + 1) + i] += d * problem.x[n * kInputs + i];
        grad[c * (kInputs + 1) + kInputs] += d;
      }
    }
    losses.push_back(loss);
    for (int k = 0; k < kParameters; ++k) {
      m[k] = beta1 * m[k] + (1 - beta1) * grad[k];
      v[k] = beta2 * v[k] + (1 - beta2) * grad[k] * grad[k];
      const double step = rate * std::sqrt(1 - std::pow(beta2, t)) / (1 - std::pow(beta1, t));
      w[k] -= step * m[k] / (std::sqrt(v[k]) + epsilon);
    }
  }
  return losses;
}

}  // namespace

TEST_CASE("ten steps of Adam follow the curve computed in double") {
  layers::Linear model({.in = kInputs, .out = kClasses});
  model.reset(Rng(5));
  const datasets::DataLoader loader(std::make_shared<Spots>(kSamples), {.batch = kSamples});
  const datasets::Batch batch = *loader.epoch(0).next();
  const Tensor x = batch.images.view({kSamples, kInputs});

  Problem problem;
  for (float value : x.span<float>()) problem.x.push_back(value);
  for (std::int32_t label : batch.labels.span<std::int32_t>()) problem.label.push_back(label);
  for (float value : model.weight.master().span<float>()) problem.weight.push_back(value);

  const optim::Adam::Options options{.learning_rate = 0.05f};
  const std::vector<double> expected =
      curve_in_double(problem, options.learning_rate, options.beta1, options.beta2, options.epsilon);
  optim::Adam adam(model.parameters(), options);
  for (int t = 0; t < kSteps; ++t) {
    adam.clear_grads();
    const Tensor loss = cross_entropy(model(x), batch.labels);
    loss.backward();
    adam.step();
    INFO("step ", t);
    CHECK(loss.item() == doctest::Approx(expected[t]).epsilon(2e-6));
  }
  CHECK(expected.back() < 0.75 * expected.front());
}
