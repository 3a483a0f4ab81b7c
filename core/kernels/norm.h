#pragma once

#include "shapes.h"

/// Normalisation over the channels of x [rows,channels], spread over the threads; one pass over memory each.
/// The sums are taken over parts of fixed size and added up in double, in order: any number of threads gives
/// the same bytes.
namespace lathe::kernels {

struct NormShape {
  std::int64_t rows = 1, channels = 1;
};

/// mean and biased variance [channels].
void norm_moments(const NormShape& shape, const float* x, double* mean, double* variance);

/// What follows a normalisation in the same pass.
enum class NormActivation : std::uint8_t { none, relu, relu6, silu };

/// What normalises: y = f((x - mean) * scale + beta), all [channels].
struct NormFactors {
  const float* mean = nullptr;
  const float* scale = nullptr;
  const float* beta = nullptr;
  NormActivation activation = NormActivation::none;
};
void norm_apply(const NormShape& shape, const NormFactors& factors, const float* x, float* y);

/// With g = dy * f': sum = the sum of g, product = the sum of g * (x - mean), [channels].
void norm_backward_sums(const NormShape& shape, const NormFactors& factors, const float* x, const float* dy,
                        double* sum, double* product);

/// dx = scale * g + slope * (x - mean) + offset, slope and offset [channels]. dx may be dy.
void norm_backward_apply(const NormShape& shape, const NormFactors& factors, const float* x, const float* dy,
                         const float* slope, const float* offset, float* dx);

}  // namespace lathe::kernels
