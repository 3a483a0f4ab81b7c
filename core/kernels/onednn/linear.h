#pragma once

#include "../linear.h"

/// The matrix products of a linear layer by oneDNN, for the threads of parallel_for. T is float, or Bf16
/// where the processor has it (bf16.h); sums are f32.
namespace lathe::kernels::onednn {

/// y = x * weight'
template <typename T>
void linear_forward(const LinearShape& shape, const T* x, const T* weight, float* y);

/// dx = dy * weight. Overwrites.
template <typename T>
void linear_backward_data(const LinearShape& shape, const T* dy, const T* weight, float* dx);

/// dweight = dy' * x. Overwrites.
template <typename T>
void linear_backward_weights(const LinearShape& shape, const T* x, const T* dy, float* dweight);

}  // namespace lathe::kernels::onednn
