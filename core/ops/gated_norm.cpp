#include "../kernels/gated_norm.h"

#include "inputs.h"
#include "norm_parts.h"

#include <lathe/core/ops.h>
#include <lathe/core/trace.h>

#include <algorithm>
#include <vector>

/// Three nodes on the tape. The first stands for y, which is never stored: it takes the gradient of x from
/// what the other two leave in an array that all share. These are the mean over the image, and the product
/// with the gate. The gradient of y has two parts, dz * gate and a constant for each channel of an image; so
/// its sums follow from sums that are taken before the second part is known, and the backward pass reads x
/// and dz twice, no more.
namespace lathe {
namespace {

/// Rows of that array [kShared,N,C].
enum Shared : std::int64_t {
  kPooled,       ///< sums of y; after forward not used
  kSlope,        ///< sums of y' = dy/du, u what silu gets
  kProduct,      ///< sums of y' * (x - mean)
  kGateGrad,     ///< sums of dz * y
  kGradSlope,    ///< sums of dz * y'
  kGradProduct,  ///< sums of dz * y' * (x - mean)
  kGate,
  kMeanGrad,  ///< the gradient of each y through the mean
  kShared
};

float* row(Tensor& shared, Shared index) {
  return write(shared) + index * shared.shape()[1] * shared.shape()[2];
}
const float* row(const Tensor& shared, Shared index) {
  return read(shared) + index * shared.shape()[1] * shared.shape()[2];
}

kernels::GatedNormShape gated_shape(const Shape& x) {
  return {.images = x[0], .area = x[1] * x[2], .channels = x[3]};
}

kernels::simd::GatedNormFactors factors_of(const Tensor& rows) {
  const std::int64_t channels = rows.shape()[1];
  const float* first = read(rows);
  return {first + kNormMean * channels, first + kNormScale * channels, first + kNormBeta * channels};
}

Grads product_backward(const Node& node, const Tensor& grad) {
  const Tensor &x = node.saved[0], &rows = node.saved[1];
  Tensor shared = node.saved[2];
  kernels::gated_norm_backward_sums(
      gated_shape(x.shape()), factors_of(rows), read(x), read(grad),
      {row(shared, kGateGrad), row(shared, kGradSlope), row(shared, kGradProduct)});
  Grads grads(2);
  if (node.needs(0)) grads[0] = grad;
  if (node.needs(1)) {
    grads[1] = Tensor::empty(node.input_shapes[1]);
    std::copy_n(row(shared, kGateGrad), grads[1].size(), write(grads[1]));
  }
  return grads;
}

Grads mean_backward(const Node& node, const Tensor& grad) {
  Tensor shared = node.saved[0];
  const Shape& x = node.input_shapes[0];
  const float share = 1 / static_cast<float>(x[1] * x[2]);
  std::transform(read(grad), read(grad) + grad.size(), row(shared, kMeanGrad),
                 [share](float value) { return share * value; });
  return {Tensor()};  // left in the array; the product gives the first node its gradient
}

Grads norm_backward(const Node& node, const Tensor& grad) {
  const auto& op = std::get<graph::BatchNorm>(node.op);
  const Tensor &x = node.saved[0], &rows = node.saved[1], &shared = node.saved[2];
  const kernels::GatedNormShape shape = gated_shape(x.shape());
  const auto channels = static_cast<std::size_t>(shape.channels),
             images = static_cast<std::size_t>(shape.images);
  const float *slope = row(shared, kSlope), *product = row(shared, kProduct);
  const float *grad_slope = row(shared, kGradSlope), *grad_product = row(shared, kGradProduct);
  const float *gate = row(shared, kGate), *mean_grad = row(shared, kMeanGrad);
  const float* scale = factors_of(rows).scale;

  NormSums sums{std::vector<double>(channels), std::vector<double>(channels)};
  Tensor scaled = Tensor::empty({2, shape.images, shape.channels});  // gate and mean_grad times scale
  float* const scaled_gate = write(scaled);
  float* const scaled_mean = scaled_gate + shape.images * shape.channels;
  for (std::size_t n = 0; n < images; ++n)
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t i = n * channels + c;
      const auto g = static_cast<double>(gate[i]), m = static_cast<double>(mean_grad[i]);
      sums.sum[c] += g * static_cast<double>(grad_slope[i]) + m * static_cast<double>(slope[i]);
      sums.product[c] += g * static_cast<double>(grad_product[i]) + m * static_cast<double>(product[i]);
      scaled_gate[i] = scale[c] * gate[i];
      scaled_mean[i] = scale[c] * mean_grad[i];
    }
  Grads grads = norm_parameter_gradients(node, rows, sums);
  if (node.needs(0)) {
    const NormSlopes slopes = norm_slopes(op, norm_shape(x.shape()), rows, sums);
    grads[0] = reuse(grad);
    kernels::gated_norm_backward_apply(shape, factors_of(rows), read(x), read(grad), scaled_gate, scaled_mean,
                                       slopes.along.data(), slopes.offset.data(), write(grads[0]));
  }
  return grads;
}

}  // namespace

Tensor gated_batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor moving_mean,
                        Tensor moving_variance, const graph::BatchNorm& op,
                        FunctionRef<Tensor(const Tensor& mean)> gate) {
  check(op.activation == Activation::silu, "gated_batch_norm: activation {} is not possible, only silu",
        graph::to_string(op.activation));
  if (TraceScope::active()) {
    const Tensor y = batch_norm(x, gamma, beta, std::move(moving_mean), std::move(moving_variance), op);
    return multiply(y, gate(global_avg_pool(y)));
  }
  Tensor z = Tensor::empty(infer_f32(op, {&x, &gamma, &beta, &moving_mean, &moving_variance}));
  infer(graph::GlobalAvgPool{}, {&x});
  const Tensor rows = norm_rows(op, x, gamma, beta, moving_mean, moving_variance);
  const kernels::GatedNormShape shape = gated_shape(x.shape());
  Tensor shared = Tensor::zeros({kShared, shape.images, shape.channels});
  kernels::gated_norm_sums(shape, factors_of(rows), read(x),
                           {row(shared, kPooled), row(shared, kSlope), row(shared, kProduct)});

  // The handle of y has the elements of z, which are written further down.
  const bool wanted = needs_grad({&x, &gamma, &beta});
  using Saved = std::vector<Tensor>;
  const Tensor y = record(op, std::array{x, gamma, beta, moving_mean, moving_variance}, z.detach(),
                          wanted ? Saved{x, rows, shared} : Saved{}, norm_backward);
  Tensor mean = Tensor::empty({shape.images, shape.channels});
  std::transform(row(shared, kPooled), row(shared, kPooled) + mean.size(), write(mean),
                 [area = static_cast<float>(shape.area)](float sum) { return sum / area; });
  const std::array pooled_inputs{y};
  mean = record(graph::GlobalAvgPool{}, pooled_inputs, mean, wanted ? Saved{shared} : Saved{}, mean_backward);

  const Tensor factor = gate(mean);
  check(
      factor && factor.dtype() == Dtype::f32 && factor.shape() == mean.shape(),
      "gated_batch_norm: the gate must be f32{}, given {}", to_string(mean.shape()),
      factor ? fmt::format("{}{}", to_string(factor.dtype()), to_string(factor.shape())) : "an empty handle");
  std::copy_n(read(factor), factor.size(), row(shared, kGate));
  kernels::gated_norm_apply(shape, factors_of(rows), read(x), read(factor), write(z));
  return record(graph::Multiply{}, std::array{y, factor}, z,
                needs_grad({&y, &factor}) ? Saved{x, rows, shared} : Saved{}, product_backward);
}

}  // namespace lathe
