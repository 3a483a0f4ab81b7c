#pragma once

#include "../conv.h"

/// Convolution by oneDNN, any groups.
namespace lathe::kernels::onednn {

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);

/// dx = the gradient of x. Overwrites.
void conv_backward_data(const ConvShape& shape, const float* dy, const float* weight, float* dx);

/// dweight and dbias (may be null). Overwrites.
void conv_backward_weights(const ConvShape& shape, const float* x, const float* dy, float* dweight,
                           float* dbias);

}  // namespace lathe::kernels::onednn
