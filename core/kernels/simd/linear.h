#pragma once

#include "../shapes.h"

#include <cstdint>

/// Rows times rows: both matrices are read along their contiguous axis, so a linear layer needs no transposed
/// weight.
namespace lathe::kernels::simd {

struct Linear {
  /// y = clamp(x * weight' + bias), x [n,i], weight [o,i], y [n,o]; bias may be null.
  void (*forward)(const LinearShape& shape, const float* x, const float* weight, const float* bias,
                  Clamp clamp, float* y);
};

}  // namespace lathe::kernels::simd
