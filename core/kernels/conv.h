#pragma once

#include "shapes.h"

#include <lathe/core/precision.h>

/// Convolution of batches: picks the fastest kernel for a shape and spreads the batch over the threads.
namespace lathe::kernels {

/// y = clamp(x * weight + bias); bias may be null.
void conv_forward(Precision precision, const ConvShape& shape, const float* x, const float* weight,
                  const float* bias, Clamp clamp, float* y);

/// What one backward pass reads and writes. Outputs that are null are not computed; the others are
/// overwritten.
struct ConvGradients {
  const float* x = nullptr;       ///< for dweight
  const float* weight = nullptr;  ///< for dx
  const float* y = nullptr;       ///< unless clamp is none
  const float* dy = nullptr;
  float* dx = nullptr;
  float* dweight = nullptr;
  float* dbias = nullptr;
};
void conv_backward(Precision precision, const ConvShape& shape, Clamp clamp, const ConvGradients& g);

}  // namespace lathe::kernels
