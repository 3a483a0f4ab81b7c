#pragma once

#include <cstdint>

/// Operations on rows of classes and the losses by their formulas, in double. Matrices are [rows,classes].
namespace lathe::kernels::reference {

struct RowsShape {
  std::int64_t rows = 1, classes = 1;
  std::int64_t size() const { return rows * classes; }
};

void softmax(RowsShape shape, const float* x, float* y);
/// dx from the input x of the softmax.
void softmax_backward(RowsShape shape, const float* x, const float* dy, float* dx);
void log_softmax(RowsShape shape, const float* x, float* y);
void log_softmax_backward(RowsShape shape, const float* x, const float* dy, float* dx);

/// Mean over the rows of the cross-entropy with (1-s)*onehot(label) + s/classes. dx = its gradient.
double cross_entropy(RowsShape shape, const float* x, const std::int32_t* labels, double smoothing,
                     float* dx);

/// T^2 * mean over the rows of KL(softmax(t/T) || softmax(x/T)). dx = its gradient.
double kl_divergence(RowsShape shape, const float* x, const float* t, double temperature, float* dx);

/// dx = the gradient.
double mean_squared_error(std::int64_t size, const float* x, const float* target, float* dx);

}  // namespace lathe::kernels::reference
