#pragma once

#include "norm.h"
#include "simd/gated_norm.h"

/// y = silu(normalised x) and z = y * gate over images [images,area,channels] with a gate [images,channels]:
/// see simd::GatedNorm. Spread over the threads; sums are taken over parts of fixed size and added up in
/// order, so that any number of threads gives the same bytes.
namespace lathe::kernels {

struct GatedNormShape {
  std::int64_t images = 1, area = 1, channels = 1;

  std::int64_t image() const { return area * channels; }
};

/// Sums over each image, [images,channels] each.
struct GatedNormSums {
  float *y, *slope, *product;
};

/// The sums of y, y' and y' * (x - mean).
void gated_norm_sums(const GatedNormShape& shape, const simd::GatedNormFactors& factors, const float* x,
                     const GatedNormSums& sums);

void gated_norm_apply(const GatedNormShape& shape, const simd::GatedNormFactors& factors, const float* x,
                      const float* gate, float* z);

/// The sums of dz * y, dz * y' and dz * y' * (x - mean).
void gated_norm_backward_sums(const GatedNormShape& shape, const simd::GatedNormFactors& factors,
                              const float* x, const float* dz, const GatedNormSums& sums);

/// dx = (dz * gate + rest) * y' + along * (x - mean) + offset; gate and rest [images,channels], along and
/// offset [channels]. dx may be dz.
void gated_norm_backward_apply(const GatedNormShape& shape, const simd::GatedNormFactors& factors,
                               const float* x, const float* dz, const float* gate, const float* rest,
                               const float* along, const float* offset, float* dx);

}  // namespace lathe::kernels
