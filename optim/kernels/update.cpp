// Compiled once per instruction set with its own flags; LATHE_LEVEL is the namespace, LATHE_LEVEL_NAME its
// text. Includes nothing but the kernel's header: an inline library function compiled here could be picked by
// the linker for everyone.
#include "update.h"

namespace lathe::optim::kernels::LATHE_LEVEL {
namespace {

// value, grad [size]: d = grad + decay*value; value -= rate*d
void sgd(const SgdFactors& f, float* __restrict value, const float* __restrict grad, std::int64_t size) {
  const float rate = f.rate, decay = f.decay;
  for (std::int64_t i = 0; i < size; ++i) value[i] -= rate * (grad[i] + decay * value[i]);
}

// value, grad, v [size]: d = grad + decay*value; v = momentum*v + d; value -= rate*(nesterov ? d + momentum*v
// : v)
template <bool kNesterov>
void momentum_update(const SgdFactors& f, float* __restrict value, const float* __restrict grad,
                     float* __restrict v, std::int64_t size) {
  const float rate = f.rate, momentum = f.momentum, decay = f.decay;
  for (std::int64_t i = 0; i < size; ++i) {
    const float d = grad[i] + decay * value[i];
    const float next = momentum * v[i] + d;
    v[i] = next;
    value[i] -= rate * (kNesterov ? d + momentum * next : next);
  }
}

void momentum(const SgdFactors& f, float* value, const float* grad, float* v, std::int64_t size) {
  (f.nesterov ? momentum_update<true> : momentum_update<false>)(f, value, grad, v, size);
}

// value, grad, m, v [size]: g = grad + decay*value; m += (g - m)*(1-beta1); v += (g*g - v)*(1-beta2);
// value = keep*value - rate * m/(sqrt(v) + epsilon)
void adam(const AdamFactors& f, float* __restrict value, const float* __restrict grad, float* __restrict m,
          float* __restrict v, std::int64_t size) {
  const float rate = f.rate, mix1 = f.one_minus_beta1, mix2 = f.one_minus_beta2, epsilon = f.epsilon,
              decay = f.decay, keep = f.keep;
  for (std::int64_t i = 0; i < size; ++i) {
    const float g = grad[i] + decay * value[i];
    const float m_next = m[i] + (g - m[i]) * mix1;
    const float v_next = v[i] + (g * g - v[i]) * mix2;
    m[i] = m_next;
    v[i] = v_next;
    value[i] = keep * value[i] - rate * m_next / (__builtin_sqrtf(v_next) + epsilon);
  }
}

// value, grad, v [size]: g = grad + decay*value; v += (g*g - v)*(1-rho); value -= rate*g / (sqrt(v) +
// epsilon)
void rms_prop(const RmsPropFactors& f, float* __restrict value, const float* __restrict grad,
              float* __restrict v, std::int64_t size) {
  const float rate = f.rate, mix = f.one_minus_rho, epsilon = f.epsilon, decay = f.decay;
  for (std::int64_t i = 0; i < size; ++i) {
    const float g = grad[i] + decay * value[i];
    const float next = v[i] + (g * g - v[i]) * mix;
    v[i] = next;
    value[i] -= rate * g / (__builtin_sqrtf(next) + epsilon);
  }
}

// values [size]. Sixteen sums side by side fix the order of additions for every vector width.
double sum_of_squares(const float* values, std::int64_t size) {
  constexpr int kLanes = 16;
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const double x = static_cast<double>(values[i + lane]);
      lanes[lane] += x * x;
    }
  for (int lane = 0; i < size; ++i, ++lane)
    lanes[lane] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  double sum = 0;
  for (double lane : lanes) sum += lane;
  return sum;
}

void scale(float* values, float factor, std::int64_t size) {
  for (std::int64_t i = 0; i < size; ++i) values[i] *= factor;
}

}  // namespace

const Table kTable = {LATHE_LEVEL_NAME, sgd, momentum, adam, rms_prop, sum_of_squares, scale};

}  // namespace lathe::optim::kernels::LATHE_LEVEL
