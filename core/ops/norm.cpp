#include "../kernels/norm.h"

#include "inputs.h"
#include "norm_parts.h"

#include <lathe/core/ops.h>
#include <lathe/core/trace.h>

#include <cmath>
#include <vector>

namespace lathe {

kernels::NormShape norm_shape(const Shape& x) { return {.rows = x.size() / x[-1], .channels = x[-1]}; }

namespace {

kernels::NormActivation norm_activation(graph::Activation activation) {
  switch (activation) {
    case graph::Activation::relu:
      return kernels::NormActivation::relu;
    case graph::Activation::relu6:
      return kernels::NormActivation::relu6;
    case graph::Activation::silu:
      return kernels::NormActivation::silu;
    default:
      return kernels::NormActivation::none;
  }
}

kernels::NormFactors factors_of(const graph::BatchNorm& op, const Tensor& rows) {
  const std::int64_t channels = rows.shape()[1];
  const float* first = read(rows);
  return {.mean = first + kNormMean * channels,
          .scale = first + kNormScale * channels,
          .beta = first + kNormBeta * channels,
          .activation = norm_activation(op.activation)};
}

/// moving = momentum * moving + (1 - momentum) * batch, in double: near its end the factor is close to 1.
void move(Tensor& moving, double momentum, const std::vector<double>& batch) {
  float* values = write(moving);
  for (std::size_t c = 0; c < batch.size(); ++c)
    values[c] = static_cast<float>(momentum * static_cast<double>(values[c]) + (1 - momentum) * batch[c]);
}

Grads batch_norm_backward(const Node& node, const Tensor& grad) {
  const auto& op = std::get<graph::BatchNorm>(node.op);
  const Tensor &x = node.saved[0], &rows = node.saved[1];
  const kernels::NormShape shape = norm_shape(x.shape());
  const kernels::NormFactors factors = factors_of(op, rows);
  const auto channels = static_cast<std::size_t>(shape.channels);

  NormSums sums{std::vector<double>(channels), std::vector<double>(channels)};
  if (op.training || node.needs(1) || node.needs(2))
    kernels::norm_backward_sums(shape, factors, read(x), read(grad), sums.sum.data(), sums.product.data());
  Grads grads = norm_parameter_gradients(node, rows, sums);
  if (node.needs(0)) {
    const NormSlopes slopes = norm_slopes(op, shape, rows, sums);
    grads[0] = reuse(grad);
    kernels::norm_backward_apply(shape, factors, read(x), read(grad), slopes.along.data(),
                                 slopes.offset.data(), write(grads[0]));
  }
  return grads;
}

}  // namespace

Tensor norm_rows(const graph::BatchNorm& op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                 Tensor moving_mean, Tensor moving_variance) {
  const kernels::NormShape shape = norm_shape(x.shape());
  std::vector<double> mean(moving_mean.span<float>().begin(), moving_mean.span<float>().end());
  std::vector<double> variance(moving_variance.span<float>().begin(), moving_variance.span<float>().end());
  if (op.training) {
    kernels::norm_moments(shape, read(x), mean.data(), variance.data());
    move(moving_mean, static_cast<double>(op.momentum), mean);
    move(moving_variance, static_cast<double>(op.momentum), variance);
  }
  Tensor rows = Tensor::empty({kNormRows, shape.channels});
  for (std::size_t c = 0; c < mean.size(); ++c) {
    const double inverse = 1 / std::sqrt(variance[c] + static_cast<double>(op.epsilon));
    float* column = write(rows) + c;
    column[kNormMean * shape.channels] = static_cast<float>(mean[c]);
    column[kNormInverse * shape.channels] = static_cast<float>(inverse);
    column[kNormScale * shape.channels] = static_cast<float>(inverse * static_cast<double>(read(gamma)[c]));
    column[kNormBeta * shape.channels] = read(beta)[c];
  }
  return rows;
}

Grads norm_parameter_gradients(const Node& node, const Tensor& rows, const NormSums& sums) {
  const std::int64_t channels = rows.shape()[1];
  const float* inverse = read(rows) + kNormInverse * channels;
  Grads grads(5);
  if (node.needs(1)) {
    grads[1] = Tensor::empty({channels});
    for (std::size_t c = 0; c < sums.product.size(); ++c)
      write(grads[1])[c] = static_cast<float>(sums.product[c] * static_cast<double>(inverse[c]));
  }
  if (node.needs(2)) {
    grads[2] = Tensor::empty({channels});
    for (std::size_t c = 0; c < sums.sum.size(); ++c) write(grads[2])[c] = static_cast<float>(sums.sum[c]);
  }
  return grads;
}

NormSlopes norm_slopes(const graph::BatchNorm& op, const kernels::NormShape& shape, const Tensor& rows,
                       const NormSums& sums) {
  const auto channels = static_cast<std::size_t>(shape.channels);
  NormSlopes slopes{std::vector<float>(channels), std::vector<float>(channels)};
  if (!op.training) return slopes;
  // dx = scale * (g - mean(g) - xhat * mean(g * xhat))
  for (std::size_t c = 0; c < channels; ++c) {
    const double scale =
        static_cast<double>(read(rows)[kNormScale * shape.channels + static_cast<std::int64_t>(c)]);
    const double inverse =
        static_cast<double>(read(rows)[kNormInverse * shape.channels + static_cast<std::int64_t>(c)]);
    const auto count = static_cast<double>(shape.rows);
    slopes.along[c] = static_cast<float>(-scale * inverse * inverse * sums.product[c] / count);
    slopes.offset[c] = static_cast<float>(-scale * sums.sum[c] / count);
  }
  return slopes;
}

Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor moving_mean,
                  Tensor moving_variance, const graph::BatchNorm& op) {
  // A graph has silu as an operation of its own: its integer form needs the range between the two.
  const bool silu = op.activation == Activation::silu && !TraceScope::active();
  if (!fusable(op.activation) && !silu) {
    graph::BatchNorm plain = op;
    plain.activation = Activation::none;
    return activate(batch_norm(x, gamma, beta, std::move(moving_mean), std::move(moving_variance), plain),
                    op.activation);
  }
  Tensor y = Tensor::empty(infer_f32(op, {&x, &gamma, &beta, &moving_mean, &moving_variance}));
  const Tensor rows = norm_rows(op, x, gamma, beta, moving_mean, moving_variance);
  kernels::norm_apply(norm_shape(x.shape()), factors_of(op, rows), read(x), write(y));
  // The input alone: the normalised values and the activation's slope are computed again from it.
  std::vector<Tensor> saved;
  if (needs_grad({&x, &gamma, &beta})) saved = {x, rows};
  return record(op, std::array{x, gamma, beta, moving_mean, moving_variance}, y, std::move(saved),
                batch_norm_backward);
}

}  // namespace lathe
