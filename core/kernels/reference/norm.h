#pragma once

#include <lathe/graph/op.h>

#include <cstdint>

/// Batch normalisation by its formulas, in double. x, y are [rows,channels], all else is [channels].
namespace lathe::kernels::reference {

/// Mean and biased variance over the rows.
void moments(std::int64_t rows, std::int64_t channels, const float* x, double* mean, double* variance);

/// What normalises: the moments of x in training, else moving ones.
struct Statistics {
  const double* mean = nullptr;
  const double* variance = nullptr;
};

/// y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta)
void batch_norm(const graph::BatchNorm& op, std::int64_t rows, std::int64_t channels, const float* x,
                Statistics by, const float* gamma, const float* beta, float* y);

/// With op.training the statistics are functions of x, else constants.
struct BatchNormGradients {
  float* dx = nullptr;
  float* dgamma = nullptr;
  float* dbeta = nullptr;
};
void batch_norm_backward(const graph::BatchNorm& op, std::int64_t rows, std::int64_t channels, const float* x,
                         Statistics by, const float* gamma, const float* beta, const float* dy,
                         const BatchNormGradients& out);

}  // namespace lathe::kernels::reference
