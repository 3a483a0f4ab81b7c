#include "pool.h"

#include <algorithm>
#include <cmath>

namespace lathe::kernels::reference {
namespace {

/// Calls f(y index, x index, place in the window) for every element of every window, window after window.
template <typename F>
void for_each_element(const PoolShape& s, F&& f) {
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t i = 0; i < s.out_h; ++i)
      for (std::int64_t j = 0; j < s.out_w; ++j)
        for (std::int64_t c = 0; c < s.c; ++c)
          for (std::int64_t a = 0; a < s.kh; ++a)
            for (std::int64_t b = 0; b < s.kw; ++b) {
              const std::int64_t row = i * s.stride_h - s.top + a;
              const std::int64_t column = j * s.stride_w - s.left + b;
              if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
              f(((n * s.out_h + i) * s.out_w + j) * s.c + c, ((n * s.h + row) * s.w + column) * s.c + c,
                a * s.kw + b);
            }
}

/// Elements of the window around output pixel (i,j) that lie inside the image.
std::int64_t window_size(const PoolShape& s, std::int64_t i, std::int64_t j) {
  const std::int64_t row = i * s.stride_h - s.top;
  const std::int64_t column = j * s.stride_w - s.left;
  return (std::min(row + s.kh, s.h) - std::max<std::int64_t>(row, 0)) *
         (std::min(column + s.kw, s.w) - std::max<std::int64_t>(column, 0));
}

float share(const PoolShape& s, std::int64_t y_index) {
  const std::int64_t pixel = y_index / s.c;
  return 1.0f / static_cast<float>(window_size(s, pixel / s.out_w % s.out_h, pixel % s.out_w));
}

}  // namespace

template <typename Index>
void max_pool_forward(const PoolShape& shape, const float* x, float* y, Index* argmax) {
  std::int64_t current = -1;
  for_each_element(shape, [&](std::int64_t yi, std::int64_t xi, std::int64_t place) {
    const bool first = yi != current;
    current = yi;
    if (!first && !(x[xi] > y[yi]) && !(std::isnan(x[xi]) && !std::isnan(y[yi]))) return;
    y[yi] = x[xi];
    if (argmax != nullptr) argmax[yi] = static_cast<Index>(place);
  });
}

template <typename Index>
void max_pool_backward(const PoolShape& shape, const float* dy, const Index* argmax, float* dx) {
  std::fill_n(dx, shape.n * shape.x_image(), 0.0f);
  for_each_element(shape, [&](std::int64_t yi, std::int64_t xi, std::int64_t place) {
    if (argmax[yi] == static_cast<Index>(place)) dx[xi] += dy[yi];
  });
}

template void max_pool_forward(const PoolShape&, const float*, float*, std::uint8_t*);
template void max_pool_forward(const PoolShape&, const float*, float*, std::int32_t*);
template void max_pool_backward(const PoolShape&, const float*, const std::uint8_t*, float*);
template void max_pool_backward(const PoolShape&, const float*, const std::int32_t*, float*);

void avg_pool_forward(const PoolShape& shape, const float* x, float* y) {
  std::fill_n(y, shape.n * shape.y_image(), 0.0f);
  for_each_element(
      shape, [&](std::int64_t yi, std::int64_t xi, std::int64_t) { y[yi] += x[xi] * share(shape, yi); });
}

void avg_pool_backward(const PoolShape& shape, const float* dy, float* dx) {
  std::fill_n(dx, shape.n * shape.x_image(), 0.0f);
  for_each_element(
      shape, [&](std::int64_t yi, std::int64_t xi, std::int64_t) { dx[xi] += dy[yi] * share(shape, yi); });
}

}  // namespace lathe::kernels::reference
