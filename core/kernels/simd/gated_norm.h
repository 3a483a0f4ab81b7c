#pragma once

#include <cstdint>

/// y = silu(u), u = (x - mean) * scale + beta, and its product with a gate, on rows of one image: x, y, z
/// [rows,channels], all else [channels]. y itself is never stored: it is computed again where it is needed.
namespace lathe::kernels::simd {

struct GatedNormFactors {
  const float *mean, *scale, *beta;
};

struct GatedNorm {
  /// y += the sum of y over the rows, slope += that of y' = dy/du, product += that of y' * (x - mean).
  void (*sums)(const GatedNormFactors& factors, const float* x, std::int64_t rows, std::int64_t channels,
               float* y, float* slope, float* product);
  /// z = y * gate
  void (*apply)(const GatedNormFactors& factors, const float* x, const float* gate, std::int64_t rows,
                std::int64_t channels, float* z);
  /// y += the sum of dz * y, slope += that of dz * y', product += that of dz * y' * (x - mean).
  void (*backward_sums)(const GatedNormFactors& factors, const float* x, const float* dz, std::int64_t rows,
                        std::int64_t channels, float* y, float* slope, float* product);
  /// dx = (dz * gate + rest) * y' + along * (x - mean) + offset; dx may be dz.
  void (*backward_apply)(const GatedNormFactors& factors, const float* x, const float* dz, const float* gate,
                         const float* rest, const float* along, const float* offset, std::int64_t rows,
                         std::int64_t channels, float* dx);
};

}  // namespace lathe::kernels::simd
