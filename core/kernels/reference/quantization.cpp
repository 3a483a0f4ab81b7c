#include "quantization.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels::reference {
namespace {

/// The code of an average of codes, less the zero point.
double average_steps(float v, std::int32_t zero_point) {
  const double code = static_cast<double>(v) + zero_point;
  const double whole = std::floor(std::abs(code) + 0.5 + 1.0 / 1024);
  return std::copysign(whole, code) - zero_point;
}

}  // namespace

void fake_quantize(const IntegerSteps& s, std::int64_t n, const float* x, const float* dy, float* y,
                   float* dx) {
  const float low = static_cast<float>(s.low - s.zero_point),
              high = static_cast<float>(s.high - s.zero_point);
  const float inverse = 1.f / s.scale;
  for (std::int64_t i = 0; i < n; ++i) {
    const float v = x[i] * inverse;
    const float cut = std::clamp(v, low, high);
    const double steps = s.average ? average_steps(cut, s.zero_point) : std::round(static_cast<double>(cut));
    y[i] = std::isnan(v) ? v : s.scale * static_cast<float>(steps);
    dx[i] = v >= low && v <= high ? dy[i] : 0.f;
  }
}

void fake_quantize_weight(std::int64_t rows, std::int64_t size, const float* x, float* y) {
  for (std::int64_t r = 0; r < rows; ++r, x += size, y += size) {
    double largest = 0;
    for (std::int64_t i = 0; i < size; ++i) largest = std::max(largest, std::abs(static_cast<double>(x[i])));
    const float scale = static_cast<float>(std::max(largest / 127, 1e-30)), inverse = 1.f / scale;
    for (std::int64_t i = 0; i < size; ++i)
      y[i] = scale * static_cast<float>(std::round(static_cast<double>(x[i] * inverse)));
  }
}

}  // namespace lathe::kernels::reference
