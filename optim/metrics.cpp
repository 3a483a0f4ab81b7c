#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include "evaluation.h"

#include <algorithm>

namespace lathe::optim {

std::int64_t count_correct(const Tensor& logits, const Tensor& labels) {
  check(logits.shape().rank() == 2 && labels.shape().rank() == 1 && logits.shape()[0] == labels.shape()[0] &&
            logits.shape()[1] >= 1,
        "count_correct: expected logits [N,C] and labels [N], given {} and {}", to_string(logits.shape()),
        to_string(labels.shape()));
  const auto classes = static_cast<std::size_t>(logits.shape()[1]);
  const std::span<const float> scores = logits.span<float>();
  const std::span<const std::int32_t> expected = labels.span<std::int32_t>();
  std::int64_t correct = 0;
  for (std::size_t row = 0; row < expected.size(); ++row) {
    const auto of_row = scores.subspan(row * classes, classes);
    correct += std::ranges::max_element(of_row) - of_row.begin() == expected[row];
  }
  return correct;
}

Tensor label_loss(const Tensor& logits, const datasets::Batch& batch, float label_smoothing) {
  const Tensor loss = cross_entropy(logits, batch.labels, label_smoothing);
  if (!batch.other_labels) return loss;
  const Tensor other = cross_entropy(logits, batch.other_labels, label_smoothing);
  return add(scale(loss, batch.share), scale(other, 1 - batch.share));
}

Loss cross_entropy_loss(float label_smoothing) {
  return [label_smoothing](const Tensor& logits, const datasets::Batch& batch) {
    return label_loss(logits, batch, label_smoothing);
  };
}

std::optional<Metrics> evaluate_unless(layers::Module& model, const datasets::DataLoader& loader,
                                       const Loss& loss, const std::atomic<bool>* interrupt) {
  const layers::EvalMode mode(model);
  const NoGrad no_grad;
  Sums sums;
  auto batches = loader.epoch(0);
  while (auto batch = batches.next()) {
    if (interrupt && *interrupt) return std::nullopt;
    const Tensor logits = model(batch->images);
    sums.add(loss(logits, *batch).item(), count_correct(logits, batch->labels), batch->size());
  }
  return sums.metrics();
}

Metrics evaluate(layers::Module& model, const datasets::DataLoader& loader, const Loss& loss) {
  return *evaluate_unless(model, loader, loss ? loss : cross_entropy_loss(0), nullptr);
}

}  // namespace lathe::optim
