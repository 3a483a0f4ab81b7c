#include "norm.h"

#include "elementwise.h"

#include <cmath>

namespace lathe::kernels::reference {
namespace {

double real(float x) { return static_cast<double>(x); }

}  // namespace

void moments(std::int64_t rows, std::int64_t channels, const float* x, double* mean, double* variance) {
  for (std::int64_t c = 0; c < channels; ++c) {
    mean[c] = variance[c] = 0;
    for (std::int64_t r = 0; r < rows; ++r) mean[c] += real(x[r * channels + c]) / static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r)
      variance[c] += std::pow(real(x[r * channels + c]) - mean[c], 2) / static_cast<double>(rows);
  }
}

void batch_norm(const graph::BatchNorm& op, std::int64_t rows, std::int64_t channels, const float* x,
                Statistics by, const float* gamma, const float* beta, float* y) {
  for (std::int64_t i = 0; i < rows * channels; ++i) {
    const std::int64_t c = i % channels;
    const double xhat = (real(x[i]) - by.mean[c]) / std::sqrt(by.variance[c] + real(op.epsilon));
    y[i] = static_cast<float>(activation(op.activation, xhat * real(gamma[c]) + real(beta[c])));
  }
}

void batch_norm_backward(const graph::BatchNorm& op, std::int64_t rows, std::int64_t channels, const float* x,
                         Statistics by, const float* gamma, const float* beta, const float* dy,
                         const BatchNormGradients& out) {
  for (std::int64_t c = 0; c < channels; ++c) {
    const double inverse = 1 / std::sqrt(by.variance[c] + real(op.epsilon));
    const auto xhat = [&](std::int64_t r) { return (real(x[r * channels + c]) - by.mean[c]) * inverse; };
    const auto g = [&](std::int64_t r) {
      const double z = xhat(r) * real(gamma[c]) + real(beta[c]);
      return real(dy[r * channels + c]) * activation_derivative(op.activation, z);
    };
    double sum = 0, product = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      sum += g(r);
      product += g(r) * xhat(r);
    }
    const auto count = static_cast<double>(rows);
    for (std::int64_t r = 0; r < rows; ++r) {
      const double through_statistics = op.training ? sum / count + xhat(r) * product / count : 0;
      out.dx[r * channels + c] = static_cast<float>(real(gamma[c]) * inverse * (g(r) - through_statistics));
    }
    out.dgamma[c] = static_cast<float>(product);
    out.dbeta[c] = static_cast<float>(sum);
  }
}

}  // namespace lathe::kernels::reference
