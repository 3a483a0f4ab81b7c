#include "linear.h"

namespace lathe::kernels::reference {

void linear_forward(const LinearShape& s, const float* x, const float* weight, const float* bias, float* y) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t o = 0; o < s.o; ++o) {
      double sum = bias != nullptr ? bias[o] : 0;
      for (std::int64_t i = 0; i < s.i; ++i) sum += static_cast<double>(x[n * s.i + i]) * weight[o * s.i + i];
      y[n * s.o + o] = static_cast<float>(sum);
    }
}

void linear_backward_data(const LinearShape& s, const float* dy, const float* weight, float* dx) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t i = 0; i < s.i; ++i) {
      double sum = 0;
      for (std::int64_t o = 0; o < s.o; ++o)
        sum += static_cast<double>(dy[n * s.o + o]) * weight[o * s.i + i];
      dx[n * s.i + i] = static_cast<float>(sum);
    }
}

void linear_backward_weights(const LinearShape& s, const float* x, const float* dy, float* dweight,
                             float* dbias) {
  for (std::int64_t o = 0; o < s.o; ++o) {
    for (std::int64_t i = 0; dweight != nullptr && i < s.i; ++i) {
      double sum = 0;
      for (std::int64_t n = 0; n < s.n; ++n) sum += static_cast<double>(dy[n * s.o + o]) * x[n * s.i + i];
      dweight[o * s.i + i] = static_cast<float>(sum);
    }
    if (dbias == nullptr) continue;
    double sum = 0;
    for (std::int64_t n = 0; n < s.n; ++n) sum += dy[n * s.o + o];
    dbias[o] = static_cast<float>(sum);
  }
}

}  // namespace lathe::kernels::reference
