#pragma once

#include "../shapes.h"

#include <cstdint>

namespace lathe::kernels::reference {

/// y = none y | relu max(y,0) | relu6 min(max(y,0),6), in place. NaN stays NaN.
inline void clamp(Clamp clamp, std::int64_t size, float* y) {
  for (std::int64_t i = 0; clamp != Clamp::none && i < size; ++i) {
    const float positive = y[i] < 0 ? 0 : y[i];
    y[i] = clamp == Clamp::relu6 && positive > 6 ? 6 : positive;
  }
}

/// out = dy where the clamp let through, else 0. May work in place.
inline void clamp_backward(Clamp clamp, std::int64_t size, const float* y, const float* dy, float* out) {
  for (std::int64_t i = 0; i < size; ++i) {
    const bool passed = clamp == Clamp::none || (y[i] > 0 && !(clamp == Clamp::relu6 && y[i] >= 6));
    out[i] = passed ? dy[i] : 0;
  }
}

}  // namespace lathe::kernels::reference
