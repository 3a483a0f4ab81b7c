#include <lathe/compress/distill.h>
#include <lathe/core/ops.h>
#include "support/errors.h"

#include "support.h"

#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

const std::vector<double> kStudent = {0.5, -1, 2, 0, 0.1, -0.2};
const std::vector<double> kTeacher = {1, 0, 3, -1, 2, 0.5};

Tensor tensor(const std::vector<double>& values) {
  std::vector<float> floats(values.begin(), values.end());
  return Tensor::from(std::span<const float>(floats), {2, 3});
}

datasets::Batch batch_of_two() {
  const std::vector<std::int32_t> labels = {2, 0};
  return {Tensor::zeros({2, 8, 8, 1}), Tensor::from(std::span<const std::int32_t>(labels), {2}), {4, 9}};
}

std::vector<double> softmax(const std::vector<double>& z, std::size_t row, double t) {
  std::vector<double> p;
  double sum = 0;
  for (std::size_t c = 0; c < 3; ++c) p.push_back(std::exp(z[3 * row + c] / t)), sum += p.back();
  for (double& x : p) x /= sum;
  return p;
}

/// The formula, in double.
double expected_loss(double temperature, double hard_weight) {
  double hard = 0, soft = 0;
  const std::size_t labels[] = {2, 0};
  for (std::size_t r = 0; r < 2; ++r) {
    hard -= std::log(softmax(kStudent, r, 1)[labels[r]]) / 2;
    const auto p = softmax(kTeacher, r, temperature), q = softmax(kStudent, r, temperature);
    for (std::size_t c = 0; c < 3; ++c) soft += p[c] * std::log(p[c] / q[c]) / 2;
  }
  return hard_weight * hard + (1 - hard_weight) * temperature * temperature * soft;
}

Teacher constant_teacher() {
  return [](const Tensor&) { return tensor(kTeacher); };
}

/// Keeps count of how often it is asked.
struct CountingTeacher {
  std::shared_ptr<int> calls = std::make_shared<int>(0);
  Tensor operator()(const Tensor& images) const {
    ++*calls;
    Tensor logits = Tensor::empty({images.shape()[0], 3});
    const auto size = static_cast<std::size_t>(images.size() / images.shape()[0]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(logits.size()); ++i)
      logits.mutable_span<float>()[i] = images.span<float>()[i / 3 * size + 9 * (i % 3)];
    return logits;
  }
};

}  // namespace

TEST_CASE("the loss is the weighted sum of both terms, the soft one times T squared") {
  for (const float temperature : {1.0f, 2.0f, 7.5f}) {
    for (const float hard_weight : {0.0f, 0.1f, 0.6f, 1.0f}) {
      CAPTURE(temperature);
      CAPTURE(hard_weight);
      Tensor logits = tensor(kStudent);
      logits.set_requires_grad(true);
      const optim::Loss loss =
          distillation(constant_teacher(), {.temperature = temperature, .hard_weight = hard_weight});
      CHECK(static_cast<double>(loss(logits, batch_of_two()).item()) ==
            doctest::Approx(expected_loss(static_cast<double>(temperature), static_cast<double>(hard_weight)))
                .epsilon(1e-5));
    }
  }
}

TEST_CASE("a student that agrees with its teacher has no soft loss and no gradient") {
  Tensor logits = tensor(kTeacher);
  logits.set_requires_grad(true);
  const Tensor loss = distillation(constant_teacher(), {.hard_weight = 0})(logits, batch_of_two());
  CHECK(std::abs(loss.item()) < 1e-6f);
  loss.backward();
  for (float g : elements(logits.grad())) CHECK(std::abs(g) < 1e-6f);
}

TEST_CASE("the soft gradient keeps its size at high temperature") {
  const auto gradient = [](float temperature) {
    Tensor logits = tensor(kStudent);
    logits.set_requires_grad(true);
    distillation(constant_teacher(), {.temperature = temperature, .hard_weight = 0})(logits, batch_of_two())
        .backward();
    double norm = 0;
    for (float g : elements(logits.grad())) norm += std::pow(static_cast<double>(g), 2);
    return std::sqrt(norm);
  };
  CHECK(gradient(100) == doctest::Approx(gradient(50)).epsilon(0.05));
  CHECK(gradient(100) > 0.3 * gradient(1));
}

TEST_CASE("in evaluation the loss is the cross-entropy and the teacher is not asked") {
  const CountingTeacher teacher;
  const optim::Loss loss = distillation(teacher, {.hard_weight = 0.1f, .label_smoothing = 0.2f});
  const Tensor logits = tensor(kStudent);
  const NoGrad no_grad;
  CHECK(loss(logits, batch_of_two()).item() == cross_entropy(logits, batch_of_two().labels).item());
  CHECK(*teacher.calls == 0);
}

TEST_CASE("a module teaches in evaluation mode, without gradients, and is the same afterwards") {
  const auto network = small_model(5);
  const Teacher asked = teacher(*network);
  Rng* dropout = network->rngs()[0].second;
  const Rng::State random = dropout->state();
  const Tensor mean = network->buffers()[0].tensor.clone();
  const Tensor logits = asked(images());
  CHECK_FALSE(logits.requires_grad());
  CHECK(same_bytes(logits, evaluate(*network, images())));
  CHECK(network->training());
  CHECK(dropout->state() == random);
  CHECK(same_bytes(network->buffers()[0].tensor, mean));
}

TEST_CASE("a student learns from its teacher alone") {
  const auto network = small_model(5), student = small_model(6);
  const auto loader = spots(160), validation = spots(96, 2);
  {
    optim::Adam optimizer(network->parameters(), {.learning_rate = 0.01f});
    optim::Trainer(*network, optimizer, {.epochs = 6}).fit(loader);
  }
  REQUIRE(optim::evaluate(*network, validation).accuracy > 0.9);
  optim::Adam optimizer(student->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(
      *student, optimizer,
      {.epochs = 6,
       .loss = distillation(teacher(*network), {.temperature = 3, .hard_weight = 0, .cache = true})});
  trainer.fit(loader);
  CHECK(optim::evaluate(*student, validation).accuracy > 0.9);
}

TEST_CASE("cached logits are asked for once and belong to their samples") {
  const auto student = small_model();
  const auto loader = spots(64);
  std::vector<std::vector<float>> losses;
  for (const bool cache : {false, true}) {
    const CountingTeacher teacher;
    const optim::Loss loss = distillation(teacher, {.hard_weight = 0, .cache = cache});
    std::vector<float>& values = losses.emplace_back();
    for (int epoch = 0; epoch < 3; ++epoch) {
      auto batches = loader.epoch(epoch);  // in another order each time
      while (auto batch = batches.next()) {
        Tensor logits = Tensor::zeros({batch->size(), 3});
        logits.set_requires_grad(true);
        values.push_back(loss(logits, *batch).item());
      }
    }
    CHECK(*teacher.calls == (cache ? 4 : 12));
  }
  CHECK(losses[0] == losses[1]);
}

TEST_CASE("options out of range and teachers that do not fit are refused") {
  CHECK_ERROR(distillation({}, {}), "distillation: there is no teacher");
  CHECK_ERROR(distillation(constant_teacher(), {.temperature = 0}),
              "temperature is 0, expected a positive number");
  CHECK_ERROR(distillation(constant_teacher(), {.temperature = std::numeric_limits<float>::infinity()}),
              "temperature is inf");
  CHECK_ERROR(distillation(constant_teacher(), {.hard_weight = 1.5f}), "hard_weight is 1.5");
  CHECK_ERROR(distillation(constant_teacher(), {.hard_weight = -0.1f}), "hard_weight is -0.1");
  CHECK_ERROR(distillation(constant_teacher(), {.label_smoothing = 1}), "label_smoothing is 1");

  Tensor logits = Tensor::zeros({2, 10});
  logits.set_requires_grad(true);
  CHECK_ERROR(distillation(constant_teacher(), {})(logits, batch_of_two()),
              "distillation: the teacher gave [2,3], the student [2,10]");
  CHECK_ERROR(distillation([](const Tensor&) { return Tensor(); }, {})(logits, batch_of_two()),
              "the teacher gave nothing");
  datasets::Batch unnumbered = batch_of_two();
  unnumbered.indices.clear();
  CHECK_ERROR(distillation(constant_teacher(), {.cache = true})(logits, unnumbered),
              "the batch has 0 sample numbers for 2 samples");
}
