#pragma once

#include "../kernels/norm.h"

#include <lathe/core/autograd.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <vector>

/// What the forms of batch norm have in common.
namespace lathe {

/// Rows of the tensor [kNormRows,channels] that is saved: what normalises, per channel.
enum NormRow : std::int64_t { kNormMean, kNormInverse, kNormScale, kNormBeta, kNormRows };

kernels::NormShape norm_shape(const Shape& x);

/// Those rows. With op.training from x, whose moments the moving statistics follow; else from these.
Tensor norm_rows(const graph::BatchNorm& op, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                 Tensor moving_mean, Tensor moving_variance);

/// Of g, the gradient of what the activation gets: its sum and that of g * (x - mean), by channel.
struct NormSums {
  std::vector<double> sum, product;
};

/// Those of gamma and beta, where they are needed, in the places 1 and 2 of five.
Grads norm_parameter_gradients(const Node& node, const Tensor& rows, const NormSums& sums);

/// dx = scale * g + along * (x - mean) + offset; along and offset are 0 when the statistics are constants.
struct NormSlopes {
  std::vector<float> along, offset;
};
NormSlopes norm_slopes(const graph::BatchNorm& op, const kernels::NormShape& shape, const Tensor& rows,
                       const NormSums& sums);

}  // namespace lathe
