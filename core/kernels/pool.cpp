#include "pool.h"

#include "reference/pool.h"

namespace lathe::kernels {

void max_pool_forward(const PoolShape& shape, const float* x, float* y, std::uint8_t* argmax) {
  reference::max_pool_forward(shape, x, y, argmax);
}

void max_pool_forward(const PoolShape& shape, const float* x, float* y, std::int32_t* argmax) {
  reference::max_pool_forward(shape, x, y, argmax);
}

void max_pool_backward(const PoolShape& shape, const float* dy, const std::uint8_t* argmax, float* dx) {
  reference::max_pool_backward(shape, dy, argmax, dx);
}

void max_pool_backward(const PoolShape& shape, const float* dy, const std::int32_t* argmax, float* dx) {
  reference::max_pool_backward(shape, dy, argmax, dx);
}

void avg_pool_forward(const PoolShape& shape, const float* x, float* y) {
  reference::avg_pool_forward(shape, x, y);
}

void avg_pool_backward(const PoolShape& shape, const float* dy, float* dx) {
  reference::avg_pool_backward(shape, dy, dx);
}

}  // namespace lathe::kernels
