#pragma once

#include "conv.h"

/// Convolution with as many groups as input and output channels.
namespace lathe::kernels::depthwise {

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);
/// Masking, dbias, dweight and dx in one pass over the images.
void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g);

}  // namespace lathe::kernels::depthwise
