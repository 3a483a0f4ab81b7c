#include "elementwise.h"

#include <cmath>
#include <vector>

namespace lathe::kernels::reference {
namespace {

double real(float x) { return static_cast<double>(x); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

double activation(graph::Activation activation, double x) {
  switch (activation) {
    case graph::Activation::none:
      return x;
    case graph::Activation::relu:
      return x < 0 ? 0 : x;
    case graph::Activation::relu6:
      return x < 0 ? 0 : x > 6 ? 6 : x;
    case graph::Activation::sigmoid:
      return sigmoid(x);
    case graph::Activation::silu:
      return x * sigmoid(x);
  }
  return x;
}

double activation_derivative(graph::Activation activation, double x) {
  switch (activation) {
    case graph::Activation::none:
      return 1;
    case graph::Activation::relu:
      return x > 0 ? 1 : 0;
    case graph::Activation::relu6:
      return x > 0 && x < 6 ? 1 : 0;
    case graph::Activation::sigmoid:
      return sigmoid(x) * (1 - sigmoid(x));
    case graph::Activation::silu:
      return sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x));
  }
  return 1;
}

void activate(graph::Activation f, std::int64_t size, const float* x, float* y) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = static_cast<float>(activation(f, real(x[i])));
}

void activate_backward(graph::Activation f, std::int64_t size, const float* x, const float* dy, float* dx) {
  for (std::int64_t i = 0; i < size; ++i)
    dx[i] = static_cast<float>(real(dy[i]) * activation_derivative(f, real(x[i])));
}

void add(graph::Activation f, std::int64_t size, const float* a, const float* b, float* y) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = static_cast<float>(activation(f, real(a[i]) + real(b[i])));
}

void add_backward(graph::Activation f, std::int64_t size, const float* a, const float* b, const float* dy,
                  float* dx) {
  for (std::int64_t i = 0; i < size; ++i)
    dx[i] = static_cast<float>(real(dy[i]) * activation_derivative(f, real(a[i]) + real(b[i])));
}

namespace {

std::int64_t gate_index(const MultiplyShape& s, std::int64_t i) {
  return s.gate ? i / (s.area * s.channels) * s.channels + i % s.channels : i;
}

}  // namespace

void multiply(const MultiplyShape& s, const float* a, const float* b, float* y) {
  for (std::int64_t i = 0; i < s.n * s.area * s.channels; ++i) y[i] = a[i] * b[gate_index(s, i)];
}

void multiply_backward(const MultiplyShape& s, const float* a, const float* b, const float* dy, float* da,
                       float* db) {
  std::vector<double> sums(static_cast<std::size_t>(s.n * (s.gate ? 1 : s.area) * s.channels));
  for (std::int64_t i = 0; i < s.n * s.area * s.channels; ++i) {
    da[i] = dy[i] * b[gate_index(s, i)];
    sums[static_cast<std::size_t>(gate_index(s, i))] += real(dy[i]) * real(a[i]);
  }
  for (std::size_t i = 0; i < sums.size(); ++i) db[i] = static_cast<float>(sums[i]);
}

void scale(float factor, std::int64_t size, const float* x, float* y) {
  for (std::int64_t i = 0; i < size; ++i) y[i] = factor * x[i];
}

double sum(std::int64_t size, const float* x) {
  double total = 0;
  for (std::int64_t i = 0; i < size; ++i) total += real(x[i]);
  return total;
}

void dropout(float rate, std::int64_t size, const float* x, const float* uniforms, float* y) {
  for (std::int64_t i = 0; i < size; ++i)
    y[i] = uniforms[i] >= rate ? static_cast<float>(real(x[i]) / (1 - real(rate))) : 0;
}

}  // namespace lathe::kernels::reference
