#include "math.h"
#include "simd.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

using In = const float* __restrict;
using Out = float* __restrict;

/// A NaN may get lost here; exp(NaN - maximum) brings it back. Eight at a time: compilers do not split a
/// maximum.
float maximum(In x, Index n) {
  constexpr int kLanes = 8;
  float best[kLanes];
  for (int l = 0; l < kLanes; ++l) best[l] = x[l < n ? l : 0];
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; ++l) best[l] = x[i + l] > best[l] ? x[i + l] : best[l];
  for (; i < n; ++i) best[0] = x[i] > best[0] ? x[i] : best[0];
  for (int l = 1; l < kLanes; ++l) best[0] = best[l] > best[0] ? best[l] : best[0];
  return best[0];
}

/// y = exp(factor * (x - shift)). Returns the sum.
float exponentials(In x, float shift, float factor, Out y, Index n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < n; ++i) {
    y[i] = exp_of(factor * (x[i] - shift));
    sum += y[i];
  }
  return sum;
}

void scale_by(float factor, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] *= factor;
}

float sum_of_exponentials(In x, float shift, float factor, Index n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (Index i = 0; i < n; ++i) sum += exp_of(factor * (x[i] - shift));
  return sum;
}

void softmax(In x, Out y, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r, x += classes, y += classes)
    scale_by(1.0f / exponentials(x, maximum(x, classes), 1.0f, y, classes), y, classes);
}

void softmax_backward(In y, In dy, Out dx, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r, y += classes, dy += classes, dx += classes) {
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (Index i = 0; i < classes; ++i) dot += y[i] * dy[i];
    for (Index i = 0; i < classes; ++i) dx[i] = y[i] * (dy[i] - dot);
  }
}

void log_softmax(In x, Out y, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r, x += classes, y += classes) {
    const float shift = maximum(x, classes);
    const float log_sum = __builtin_logf(sum_of_exponentials(x, shift, 1.0f, classes));
    for (Index i = 0; i < classes; ++i) y[i] = (x[i] - shift) - log_sum;
  }
}

void log_softmax_backward(In y, In dy, Out dx, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r, y += classes, dy += classes, dx += classes) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (Index i = 0; i < classes; ++i) sum += dy[i];
    for (Index i = 0; i < classes; ++i) dx[i] = dy[i] - exp_of(y[i]) * sum;
  }
}

void cross_entropy(In x, const std::int32_t* __restrict labels, float smoothing, float factor, Out loss,
                   Out dx, Index rows, Index classes) {
  const float uniform = smoothing / static_cast<float>(classes);
  for (Index r = 0; r < rows; ++r, x += classes) {
    const float shift = maximum(x, classes);
    const float sum = dx != nullptr ? exponentials(x, shift, 1.0f, dx, classes)
                                    : sum_of_exponentials(x, shift, 1.0f, classes);
    float logits = 0;  // relative to the largest, summed over the classes; for the smoothed part
    if (smoothing > 0) {
#pragma omp simd reduction(+ : logits)
      for (Index i = 0; i < classes; ++i) logits += x[i] - shift;
    }
    const Index label = labels[r];
    loss[r] = __builtin_logf(sum) - (1.0f - smoothing) * (x[label] - shift) - uniform * logits;
    if (dx == nullptr) continue;
    const float inverse = factor / sum;
    for (Index i = 0; i < classes; ++i) dx[i] = dx[i] * inverse - factor * uniform;
    dx[label] -= factor * (1.0f - smoothing);
    dx += classes;
  }
}

void kl_divergence(In x, In t, float inverse, float factor, Out loss, Out dx, Index rows, Index classes) {
  for (Index r = 0; r < rows; ++r, x += classes, t += classes) {
    const float x_shift = maximum(x, classes), t_shift = maximum(t, classes);
    const float x_sum = sum_of_exponentials(x, x_shift, inverse, classes);
    const float t_sum = sum_of_exponentials(t, t_shift, inverse, classes);
    // sum of p_t * (log p_t - log p_x) = (sum of e_t * ((t - t_shift) - (x - x_shift)) / T) / t_sum + log
    // x_sum - log t_sum
    float weighted = 0;
#pragma omp simd reduction(+ : weighted)
    for (Index i = 0; i < classes; ++i) {
      const float difference = (t[i] - t_shift) - (x[i] - x_shift);
      weighted += exp_of(inverse * (t[i] - t_shift)) * (inverse * difference);
    }
    loss[r] = weighted / t_sum + (__builtin_logf(x_sum) - __builtin_logf(t_sum));
    if (dx == nullptr) continue;
    const float x_factor = factor / x_sum, t_factor = factor / t_sum;
    for (Index i = 0; i < classes; ++i)
      dx[i] = x_factor * exp_of(inverse * (x[i] - x_shift)) - t_factor * exp_of(inverse * (t[i] - t_shift));
    dx += classes;
  }
}

}  // namespace

const Rows kRows{
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .log_softmax = log_softmax,
    .log_softmax_backward = log_softmax_backward,
    .cross_entropy = cross_entropy,
    .kl_divergence = kl_divergence,
};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
