#pragma once

#include "../quantization.h"

namespace lathe::kernels::reference {

/// With v = x * (1 / scale) cut off at low - zero_point and high - zero_point: y = scale * (v rounded, halves
/// away from zero). `average`: v + zero_point is rounded instead, halves away from its zero, where all within
/// 2^-10 of a half are halves. NaN stays. dx = dy where v was not cut off, else 0.
void fake_quantize(const IntegerSteps& steps, std::int64_t n, const float* x, const float* dy, float* y,
                   float* dx);

/// y = scale * round(x * (1 / scale)), scale = largest |x| of the row / 127; 0 where all are 0.
void fake_quantize_weight(std::int64_t rows, std::int64_t size, const float* x, float* y);

}  // namespace lathe::kernels::reference
