#pragma once

#include "conv.h"

/// Convolution as a product with the windows where they lie in the image (simd/conv.h): the weight stays in
/// the nearest caches, so it pays where the weight is small. Groups = 1.
namespace lathe::kernels::direct {

/// Can conv_backward compute dx?
bool has_backward_data(const ConvShape& shape);

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);
/// Masking, dbias, dweight and dx in one pass over the images. `argmax`: y and dy are those of a 2x2 max
/// pool, and out_h and out_w even.
void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g,
                   const std::uint8_t* argmax = nullptr);

/// With a max pool of 2x2 behind it, see ../conv.h; the gradients need has_backward_data().
void conv_pool_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias,
                       Clamp clamp, float* y, std::uint8_t* argmax);
void conv_pool_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g,
                        const std::uint8_t* argmax);

}  // namespace lathe::kernels::direct
