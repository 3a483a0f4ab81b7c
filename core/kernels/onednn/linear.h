#pragma once

#include "../linear.h"

/// The matrix products of a linear layer by oneDNN, for the threads of parallel_for.
namespace lathe::kernels::onednn {

/// y = x * weight'
void linear_forward(const LinearShape& shape, const float* x, const float* weight, float* y);

/// dx = dy * weight. Overwrites.
void linear_backward_data(const LinearShape& shape, const float* dy, const float* weight, float* dx);

/// dweight = dy' * x. Overwrites.
void linear_backward_weights(const LinearShape& shape, const float* x, const float* dy, float* dweight);

}  // namespace lathe::kernels::onednn
