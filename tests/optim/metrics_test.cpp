#include <lathe/core/ops.h>
#include <lathe/optim/metrics.h>
#include <support/errors.h>

#include "tiny.h"

using namespace lathe;
using namespace lathe::optim;

TEST_CASE("correct rows are those with the largest logit at the label, the first of equal ones") {
  const Tensor logits = Tensor::from({1, 3, 2, /**/ 5, 5, 1, /**/ -1, -2, -0.5f}, {3, 3});
  const std::int32_t right[] = {1, 0, 2}, tie[] = {1, 1, 2}, wrong[] = {0, 2, 1};
  CHECK(count_correct(logits, Tensor::from<std::int32_t>(right, {3})) == 3);
  CHECK(count_correct(logits, Tensor::from<std::int32_t>(tie, {3})) == 2);
  CHECK(count_correct(logits, Tensor::from<std::int32_t>(wrong, {3})) == 0);
}

TEST_CASE("counting refuses shapes that do not belong together") {
  const Tensor labels = Tensor::zeros({2}, Dtype::i32);
  CHECK_ERROR(count_correct(Tensor::zeros({2, 1, 1, 3}), labels),
              "expected logits [N,C] and labels [N], given [2,1,1,3]");
  CHECK_ERROR(count_correct(Tensor::zeros({3, 3}), labels), "given [3,3] and [2]");
  CHECK_ERROR(count_correct(Tensor::zeros({2, 0}), labels), "given [2,0]");
}

TEST_CASE("an evaluation weighs every sample alike, also those of a short last batch") {
  const auto model = tiny_model();
  const datasets::DataLoader in_parts(std::make_shared<Spots>(21), {.batch = 8});
  const datasets::DataLoader whole(std::make_shared<Spots>(21), {.batch = 21});
  const Metrics a = evaluate(*model, in_parts), b = evaluate(*model, whole);
  CHECK(a.samples == 21);
  CHECK(a.loss == doctest::Approx(b.loss).epsilon(1e-6));
  CHECK(a.accuracy == b.accuracy);

  model->eval();
  const auto batch = *whole.epoch(0).next();
  const Tensor logits = (*model)(batch.images);
  CHECK(b.loss == doctest::Approx(cross_entropy(logits, batch.labels).item()));
  CHECK(b.accuracy == doctest::Approx(static_cast<double>(count_correct(logits, batch.labels)) / 21));
}

TEST_CASE("an evaluation leaves weights, statistics and the mode of every part as they are") {
  const auto model = tiny_model();
  model->modules()[2].second->eval();  // a frozen batch norm
  std::vector<layers::NamedTensor> before;
  for (const auto& named : model->buffers()) before.push_back({named.name, named.tensor.clone()});
  evaluate(*model, spots(40));
  CHECK(same_bytes(model->buffers(), before));
  for (const auto& [path, module] : model->modules()) CHECK(module->training() == (path != "norm"));
  for (const auto& [name, parameter] : model->parameters()) CHECK(!parameter.master().grad());
}

TEST_CASE("an evaluation uses the loss it is given") {
  const auto model = tiny_model();
  const Metrics metrics = evaluate(
      *model, spots(40), [](const Tensor&, const datasets::Batch&) { return Tensor::full({}, 2.5f); });
  CHECK(metrics.loss == 2.5);
}

TEST_CASE("mixed images count against both labels by their shares") {
  Tensor logits = Tensor::empty({3, 4});
  Rng(1).fill_uniform(logits.mutable_span<float>(), -1, 1);
  const std::vector<std::int32_t> labels = {0, 1, 3}, others = {3, 2, 0};
  datasets::Batch batch{Tensor::zeros({3, 1, 1, 1}), Tensor::from(std::span(labels), {3})};
  const float plain = label_loss(logits, batch, 0.1f).item();
  CHECK(plain == cross_entropy(logits, batch.labels, 0.1f).item());
  batch.other_labels = Tensor::from(std::span(others), {3});
  batch.share = 0.3f;
  const float other = cross_entropy(logits, batch.other_labels, 0.1f).item();
  CHECK(label_loss(logits, batch, 0.1f).item() == doctest::Approx(0.3 * plain + 0.7 * other));
}
