#pragma once

#include <lathe/graph/op.h>

#include <cstdint>

/// Element-wise operations by their formulas, in double.
namespace lathe::kernels::reference {

double activation(graph::Activation activation, double x);
/// At the kinks of relu and relu6: 0.
double activation_derivative(graph::Activation activation, double x);

void activate(graph::Activation activation, std::int64_t size, const float* x, float* y);
void activate_backward(graph::Activation activation, std::int64_t size, const float* x, const float* dy,
                       float* dx);

/// y = activation(a + b)
void add(graph::Activation activation, std::int64_t size, const float* a, const float* b, float* y);
/// dx = dy * activation'(a + b), the gradient of both.
void add_backward(graph::Activation activation, std::int64_t size, const float* a, const float* b,
                  const float* dy, float* dx);

/// a [n,area,channels] times b, which is [n,area,channels] as well or, when `gate`, [n,channels].
struct MultiplyShape {
  std::int64_t n = 1, area = 1, channels = 1;
  bool gate = false;
};
void multiply(const MultiplyShape& shape, const float* a, const float* b, float* y);
void multiply_backward(const MultiplyShape& shape, const float* a, const float* b, const float* dy, float* da,
                       float* db);

void scale(float factor, std::int64_t size, const float* x, float* y);
double sum(std::int64_t size, const float* x);

/// y = x / (1 - rate) where the uniform number is at least `rate`, else 0.
void dropout(float rate, std::int64_t size, const float* x, const float* uniforms, float* y);

}  // namespace lathe::kernels::reference
