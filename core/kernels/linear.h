#pragma once

#include "shapes.h"

#include <lathe/core/precision.h>

namespace lathe::kernels {

/// y = clamp(x * weight' + bias); bias may be null.
void linear_forward(Precision precision, const LinearShape& shape, const float* x, const float* weight,
                    const float* bias, Clamp clamp, float* y);

/// As ConvGradients.
struct LinearGradients {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* y = nullptr;
  const float* dy = nullptr;
  float* dx = nullptr;
  float* dweight = nullptr;
  float* dbias = nullptr;
};
void linear_backward(Precision precision, const LinearShape& shape, Clamp clamp, const LinearGradients& g);

}  // namespace lathe::kernels
