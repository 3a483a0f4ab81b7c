#include "../kernels/norm.h"

#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <cmath>
#include <vector>

namespace lathe {
namespace {

kernels::NormShape norm_shape(const Shape& x) { return {.rows = x.size() / x[-1], .channels = x[-1]}; }

/// Rows of the tensor that is saved: what normalises, per channel.
enum Row : std::int64_t { kMean, kInverse, kScale, kBeta, kRows };

kernels::NormFactors factors_of(const graph::BatchNorm& op, const Tensor& factors) {
  const std::int64_t channels = factors.shape()[1];
  const float* rows = read(factors);
  return {.mean = rows + kMean * channels,
          .scale = rows + kScale * channels,
          .beta = rows + kBeta * channels,
          .clamp = clamp_of(op.activation)};
}

/// moving = momentum * moving + (1 - momentum) * batch, in double: near its end the factor is close to 1.
void move(Tensor& moving, double momentum, const std::vector<double>& batch) {
  float* values = write(moving);
  for (std::size_t c = 0; c < batch.size(); ++c)
    values[c] = static_cast<float>(momentum * static_cast<double>(values[c]) + (1 - momentum) * batch[c]);
}

Grads batch_norm_backward(const Node& node, const Tensor& grad) {
  const auto& op = std::get<graph::BatchNorm>(node.op);
  const Tensor &x = node.saved[0], &saved = node.saved[1];
  const kernels::NormShape shape = norm_shape(x.shape());
  const kernels::NormFactors factors = factors_of(op, saved);
  const float* inverse = read(saved) + kInverse * shape.channels;
  const auto channels = static_cast<std::size_t>(shape.channels);
  const auto rows = static_cast<double>(shape.rows);

  std::vector<double> sum(channels), product(channels);
  if (op.training || node.needs(1) || node.needs(2))
    kernels::norm_backward_sums(shape, factors, read(x), read(grad), sum.data(), product.data());
  Grads grads(5);
  if (node.needs(1)) {
    grads[1] = Tensor::empty({shape.channels});
    for (std::size_t c = 0; c < channels; ++c)
      write(grads[1])[c] = static_cast<float>(product[c] * static_cast<double>(inverse[c]));
  }
  if (node.needs(2)) {
    grads[2] = Tensor::empty({shape.channels});
    for (std::size_t c = 0; c < channels; ++c) write(grads[2])[c] = static_cast<float>(sum[c]);
  }
  if (node.needs(0)) {
    // dx = scale * (g - mean(g) - xhat * mean(g * xhat)); in eval mode the statistics are constants: dx =
    // scale * g.
    std::vector<float> slope(channels), offset(channels);
    if (op.training) {
      for (std::size_t c = 0; c < channels; ++c) {
        const double scale = static_cast<double>(factors.scale[c]), inv = static_cast<double>(inverse[c]);
        slope[c] = static_cast<float>(-scale * inv * inv * product[c] / rows);
        offset[c] = static_cast<float>(-scale * sum[c] / rows);
      }
    }
    grads[0] = reuse(grad);
    kernels::norm_backward_apply(shape, factors, read(x), read(grad), slope.data(), offset.data(),
                                 write(grads[0]));
  }
  return grads;
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor moving_mean,
                  Tensor moving_variance, const graph::BatchNorm& op) {
  if (!fusable(op.activation)) {
    graph::BatchNorm plain = op;
    plain.activation = Activation::none;
    return activate(batch_norm(x, gamma, beta, std::move(moving_mean), std::move(moving_variance), plain),
                    op.activation);
  }
  Tensor y = Tensor::empty(infer_f32(op, {&x, &gamma, &beta, &moving_mean, &moving_variance}));
  const kernels::NormShape shape = norm_shape(x.shape());
  const auto channels = static_cast<std::size_t>(shape.channels);
  std::vector<double> mean(moving_mean.span<float>().begin(), moving_mean.span<float>().end());
  std::vector<double> variance(moving_variance.span<float>().begin(), moving_variance.span<float>().end());
  if (op.training) {
    kernels::norm_moments(shape, read(x), mean.data(), variance.data());
    move(moving_mean, static_cast<double>(op.momentum), mean);
    move(moving_variance, static_cast<double>(op.momentum), variance);
  }
  Tensor factors = Tensor::empty({kRows, shape.channels});
  for (std::size_t c = 0; c < channels; ++c) {
    const double inverse = 1 / std::sqrt(variance[c] + static_cast<double>(op.epsilon));
    float* column = write(factors) + c;
    column[kMean * shape.channels] = static_cast<float>(mean[c]);
    column[kInverse * shape.channels] = static_cast<float>(inverse);
    column[kScale * shape.channels] = static_cast<float>(inverse * static_cast<double>(read(gamma)[c]));
    column[kBeta * shape.channels] = read(beta)[c];
  }
  kernels::norm_apply(shape, factors_of(op, factors), read(x), write(y));
  // The input alone: the normalised values and where the activation let through are computed again from it.
  std::vector<Tensor> saved;
  if (needs_grad({&x, &gamma, &beta})) saved = {x, factors};
  return record(op, std::array{x, gamma, beta, moving_mean, moving_variance}, y, std::move(saved),
                batch_norm_backward);
}

}  // namespace lathe
