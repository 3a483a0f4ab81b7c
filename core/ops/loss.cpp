#include "../kernels/scratch.h"
#include "../kernels/simd/simd.h"
#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <vector>

namespace lathe {
namespace {

using kernels::simd::simd;

Tensor scalar(double value) { return Tensor::full({}, static_cast<float>(value)); }

/// Adds up in order, in double.
double sum_of(const float* values, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]);
  return sum;
}

/// The gradient for d(loss) = 1 was computed on the way forward, together with the loss.
Grads saved_gradient(const Node& node, const Tensor& grad) {
  const float factor = grad.item();
  Tensor dx = node.saved[0];
  if (factor != 1) {
    dx = Tensor::empty(dx.shape());
    for_each_part(dx.size(),
                  [&, from = read(node.saved[0]), to = write(dx)](std::int64_t begin, std::int64_t size) {
                    simd().elementwise.scale(factor, from + begin, to + begin, size);
                  });
  }
  return {dx, {}};
}

Grads mean_squared_error_backward(const Node& node, const Tensor& grad) {
  const Tensor &x = node.saved[0], &target = node.saved[1];
  const float factor = 2 * grad.item() / static_cast<float>(x.size());
  Tensor dx = Tensor::empty(x.shape());
  for_each_part(x.size(),
                [&, a = read(x), b = read(target), to = write(dx)](std::int64_t begin, std::int64_t size) {
                  simd().elementwise.scaled_difference(factor, a + begin, b + begin, to + begin, size);
                });
  return {dx, {}};
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, float label_smoothing) {
  const graph::CrossEntropy op{label_smoothing};
  infer(op, {&logits, &labels});
  check_f32(op.kName, {&logits});
  check(labels.dtype() == Dtype::i32, "{}: labels must be i32, given {}", op.kName,
        to_string(labels.dtype()));
  const std::int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  const std::int32_t* label = labels.span<std::int32_t>().data();
  for (std::int64_t i = 0; i < rows; ++i)
    check(label[i] >= 0 && label[i] < classes, "{}: label {} of sample {} is outside [0,{}) (logits {})",
          op.kName, label[i], i, classes, to_string(logits.shape()));

  const kernels::Scratch losses(rows);
  Tensor gradient = needs_grad({&logits}) ? Tensor::empty(logits.shape()) : Tensor();
  const float factor = 1.0f / static_cast<float>(rows);
  for_each_rows(rows, classes,
                [&, x = read(logits), dx = write(gradient)](std::int64_t row, std::int64_t count) {
                  simd().rows.cross_entropy(x + row * classes, label + row, label_smoothing, factor,
                                            losses.data() + row, dx != nullptr ? dx + row * classes : nullptr,
                                            count, classes);
                });
  const Tensor loss = scalar(sum_of(losses.data(), rows) / static_cast<double>(rows));
  return record(op, std::array{logits, labels}, loss, {gradient}, saved_gradient);
}

Tensor kl_divergence(const Tensor& logits, const Tensor& target_logits, float temperature) {
  const graph::KlDivergence op{temperature};
  infer_f32(op, {&logits, &target_logits});
  const std::int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  const kernels::Scratch losses(rows);
  Tensor gradient = needs_grad({&logits}) ? Tensor::empty(logits.shape()) : Tensor();
  const float factor = temperature / static_cast<float>(rows);
  for_each_rows(rows, classes,
                [&, x = read(logits), t = read(target_logits), dx = write(gradient)](std::int64_t row,
                                                                                     std::int64_t count) {
                  simd().rows.kl_divergence(x + row * classes, t + row * classes, 1 / temperature, factor,
                                            losses.data() + row, dx != nullptr ? dx + row * classes : nullptr,
                                            count, classes);
                });
  const double squared = static_cast<double>(temperature) * static_cast<double>(temperature);
  const Tensor loss = scalar(squared * sum_of(losses.data(), rows) / static_cast<double>(rows));
  return record(op, std::array{logits, target_logits.detach()}, loss, {gradient}, saved_gradient);
}

Tensor mean_squared_error(const Tensor& x, const Tensor& target) {
  const graph::MeanSquaredError op;
  infer_f32(op, {&x, &target});
  constexpr std::int64_t kPart = 16384;
  std::vector<double> sums(static_cast<std::size_t>((x.size() + kPart - 1) / kPart));
  parallel_for(static_cast<std::int64_t>(sums.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      sums[static_cast<std::size_t>(p)] = simd().elementwise.squared_distance(
          read(x) + p * kPart, read(target) + p * kPart, std::min(kPart, x.size() - p * kPart));
  });
  double total = 0;
  for (double part : sums) total += part;
  std::vector<Tensor> saved;
  if (needs_grad({&x})) saved = {x, target};
  return record(op, std::array{x, target.detach()}, scalar(total / static_cast<double>(x.size())),
                std::move(saved), mean_squared_error_backward);
}

}  // namespace lathe
