#pragma once

#include "conv.h"

/// Convolution as a product with the windows where they lie in the image (simd/conv.h): the weight stays in
/// the nearest caches, so it pays where the weight is small. Groups = 1.
namespace lathe::kernels::direct {

/// Can conv_backward compute dx?
bool has_backward_data(const ConvShape& shape);

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);
/// Masking, dbias, dweight and dx in one pass over the images.
void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g);

}  // namespace lathe::kernels::direct
