#pragma once

#include "../shapes.h"

/// Plain loops: what the fast kernels are compared with, and what runs where there is no fast one.
namespace lathe::kernels::reference {

/// y = x * weight + bias; bias may be null.
void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, float* y);

/// dx = the gradient of x. Overwrites.
void conv_backward_data(const ConvShape& shape, const float* dy, const float* weight, float* dx);

/// dweight and dbias, either may be null. Overwrites.
void conv_backward_weights(const ConvShape& shape, const float* x, const float* dy, float* dweight,
                           float* dbias);

}  // namespace lathe::kernels::reference
