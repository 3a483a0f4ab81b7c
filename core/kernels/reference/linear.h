#pragma once

#include "../shapes.h"

namespace lathe::kernels::reference {

/// y = x * weight' + bias; bias may be null.
void linear_forward(const LinearShape& shape, const float* x, const float* weight, const float* bias,
                    float* y);

/// dx = dy * weight. Overwrites.
void linear_backward_data(const LinearShape& shape, const float* dy, const float* weight, float* dx);

/// dweight = dy' * x, dbias = column sums of dy; either may be null. Overwrites.
void linear_backward_weights(const LinearShape& shape, const float* x, const float* dy, float* dweight,
                             float* dbias);

}  // namespace lathe::kernels::reference
