#include "math.h"
#include "simd.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

using In = const float* __restrict;
using Out = float* __restrict;

// Where input and output may be the same array they are not __restrict; the iterations are independent all
// the same.

template <int kActivation>
void clamp(In x, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = clamp_of<kActivation>(x[i]);
}

void exponential(In x, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = exp_of(x[i]);
}

void sigmoid(In x, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = sigmoid_of(x[i]);
}

void silu(In x, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = x[i] * sigmoid_of(x[i]);
}

template <int kActivation>
void clamp_backward(In y, const float* dy, float* dx, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) dx[i] = masked<kActivation>(y[i], dy[i]);
}

void sigmoid_backward(In y, const float* dy, float* dx, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) dx[i] = dy[i] * (y[i] * (1.0f - y[i]));
}

void silu_backward(In x, const float* dy, float* dx, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) {
    const float s = sigmoid_of(x[i]);
    dx[i] = dy[i] * (s * (1.0f + x[i] * (1.0f - s)));
  }
}

template <int kActivation>
void add(In a, In b, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = clamp_of<kActivation>(a[i] + b[i]);
}

void accumulate(In x, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] += x[i];
}

void multiply(In a, In b, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = a[i] * b[i];
}

void scale(float factor, const float* x, float* y, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) y[i] = factor * x[i];
}

void scaled_difference(float factor, In a, In b, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = factor * (a[i] - b[i]);
}

void to_bf16(In x, Bf16* __restrict y, Index n) {
  for (Index i = 0; i < n; ++i) {
    const unsigned bits = __builtin_bit_cast(unsigned, x[i]);
    const unsigned rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    const unsigned quiet = bits | 0x400000u;  // a NaN whose upper half is not that of infinity
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y[i] = static_cast<Bf16>((is_nan ? quiet : rounded) >> 16);
  }
}

double sum(In x, Index n) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (Index i = 0; i < n; ++i) total += static_cast<double>(x[i]);
  return total;
}

double squared_distance(In a, In b, Index n) {
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (Index i = 0; i < n; ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    total += difference * difference;
  }
  return total;
}

void multiply_rows(In a, In b, Out y, Index rows, Index channels) {
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < channels; ++c) y[r * channels + c] = a[r * channels + c] * b[c];
}

void dot_rows(In a, In b, Out y, Index rows, Index channels) {
  for (Index c = 0; c < channels; ++c) y[c] = 0;
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < channels; ++c) y[c] += a[r * channels + c] * b[r * channels + c];
}

}  // namespace

const Elementwise kElementwise{
    .activate = {nullptr, clamp<1>, clamp<2>, sigmoid, silu},
    .activate_backward = {nullptr, clamp_backward<1>, clamp_backward<2>, sigmoid_backward, silu_backward},
    .exponential = exponential,
    .add = {add<0>, add<1>, add<2>},
    .accumulate = accumulate,
    .multiply = multiply,
    .scale = scale,
    .scaled_difference = scaled_difference,
    .to_bf16 = to_bf16,
    .sum = sum,
    .squared_distance = squared_distance,
    .multiply_rows = multiply_rows,
    .dot_rows = dot_rows,
};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
