#include "pool.h"

#include "reference/pool.h"
#include "simd/simd.h"

#include <lathe/base/parallel.h>

namespace lathe::kernels {
namespace {

/// Calls image(n) for each image, spread over the threads.
template <typename F>
void for_each_image(const PoolShape& shape, F&& image) {
  parallel_for(shape.n, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) image(n);
  });
}

}  // namespace

void max_pool_forward(const PoolShape& s, const float* x, float* y, std::uint8_t* argmax) {
  const auto kernel = simd::simd().pool.max_forward;
  for_each_image(s, [&](std::int64_t n) {
    kernel(s, x + n * s.x_image(), y + n * s.y_image(),
           argmax != nullptr ? argmax + n * s.y_image() : nullptr);
  });
}

void max_pool_backward(const PoolShape& s, const float* dy, const std::uint8_t* argmax, float* dx) {
  const auto kernel = simd::simd().pool.max_backward;
  for_each_image(s, [&](std::int64_t n) {
    kernel(s, dy + n * s.y_image(), argmax + n * s.y_image(), dx + n * s.x_image());
  });
}

// Windows of more than 256 elements are rare enough for plain loops.

void max_pool_forward(const PoolShape& s, const float* x, float* y, std::int32_t* argmax) {
  reference::max_pool_forward(s, x, y, argmax);
}

void max_pool_backward(const PoolShape& s, const float* dy, const std::int32_t* argmax, float* dx) {
  reference::max_pool_backward(s, dy, argmax, dx);
}

void avg_pool_forward(const PoolShape& s, const float* x, float* y) {
  const auto kernel = simd::simd().pool.avg_forward;
  for_each_image(s, [&](std::int64_t n) { kernel(s, x + n * s.x_image(), y + n * s.y_image()); });
}

void avg_pool_backward(const PoolShape& s, const float* dy, float* dx) {
  const auto kernel = simd::simd().pool.avg_backward;
  for_each_image(s, [&](std::int64_t n) { kernel(s, dy + n * s.y_image(), dx + n * s.x_image()); });
}

}  // namespace lathe::kernels
