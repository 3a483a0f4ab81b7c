#pragma once

#include "../shapes.h"

#include <cstdint>

/// Depthwise convolution of one image: every channel with its own window. Weights are laid out [kh,kw,c],
/// channels innermost.
namespace lathe::kernels::simd {

struct Depthwise {
  /// y = clamp(x * weight + bias); bias may be null. `zeros` holds w * c zeros, for window rows outside the
  /// image.
  void (*forward)(const ConvShape& shape, const float* x, const float* weight, const float* bias,
                  const float* zeros, Clamp clamp, float* y);
  /// dx = the gradient of x. Overwrites.
  void (*data)(const ConvShape& shape, const float* dy, const float* weight, float* dx);
  /// dweight [kh,kw,c] += the gradient of the weight.
  void (*weights)(const ConvShape& shape, const float* x, const float* dy, const float* zeros,
                  float* dweight);
};

}  // namespace lathe::kernels::simd
