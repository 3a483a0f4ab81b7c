#pragma once

#include "../conv.h"

/// Convolution by oneDNN, any groups. T is float, or Bf16 where the processor has it (onednn/bf16.h): the
/// weight is then rounded on the way into oneDNN's layout, and sums and results are f32 all the same.
namespace lathe::kernels::onednn {

template <typename T>
void conv_forward(const ConvShape& shape, const T* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);

/// dx = the gradient of x. Overwrites.
template <typename T>
void conv_backward_data(const ConvShape& shape, const T* dy, const float* weight, float* dx);

/// dweight and dbias (may be null). Overwrites.
template <typename T>
void conv_backward_weights(const ConvShape& shape, const T* x, const T* dy, float* dweight, float* dbias);

}  // namespace lathe::kernels::onednn
