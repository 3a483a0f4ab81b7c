#include "compression.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::kernels::reference {

void apply_mask(std::int64_t n, const float* x, const float* mask, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = mask[i] != 0 ? x[i] : 0.0f;
}

void lookup_forward(const LookupShape& s, const float* x, const float* centroids, float* y,
                    std::int32_t* index) {
  for (std::int64_t i = 0; i < s.books * s.size; ++i) {
    const float* c = centroids + i / s.size * s.k;
    const auto value = [&](std::int64_t j) { return s.zero_first && j == 0 ? 0.0f : c[j]; };
    std::int64_t best = 0;
    bool finite = true;
    for (std::int64_t j = 0; j < s.k; ++j) {
      finite = finite && std::isfinite(value(j));
      if (std::abs(double{x[i]} - double{value(j)}) < std::abs(double{x[i]} - double{value(best)})) best = j;
    }
    y[i] = std::isnan(x[i]) || !finite ? std::numeric_limits<float>::quiet_NaN() : value(best);
    index[i] = static_cast<std::int32_t>(best);
  }
}

void lookup_backward(const LookupShape& s, bool average, const float* dy, const std::int32_t* index,
                     float* dcentroids) {
  for (std::int64_t book = 0; book < s.books; ++book) {
    for (std::int64_t j = 0; j < s.k; ++j) {
      double sum = 0;
      std::int64_t members = 0;
      for (std::int64_t i = book * s.size; i < (book + 1) * s.size; ++i) {
        if (index[i] != j) continue;
        sum += double{dy[i]};
        ++members;
      }
      if (average) sum /= static_cast<double>(std::max<std::int64_t>(members, 1));
      dcentroids[book * s.k + j] = s.zero_first && j == 0 ? 0.0f : static_cast<float>(sum);
    }
  }
}

}  // namespace lathe::kernels::reference
