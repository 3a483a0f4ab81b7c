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

/// A convolution and the max pool of 2x2 windows behind it in one pass, in which the convolution's own output
/// never reaches memory: y, and in ConvGradients y and dy, are the pool's, [n,out_h/2,out_w/2,o]. `argmax` of
/// the same shape tells which of the four it was, as max_pool_forward() writes it; null when no gradient is
/// wanted.
bool can_pool(Precision precision, const ConvShape& shape);
void conv_pool_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias,
                       Clamp clamp, float* y, std::uint8_t* argmax);
void conv_pool_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g,
                        const std::uint8_t* argmax);

}  // namespace lathe::kernels
