#pragma once

#include "../shapes.h"

#include <cstdint>

/// Pooling of one image, a vector of channels at a time; see ../reference/pool.h for the definitions.
namespace lathe::kernels::simd {

struct Pool {
  /// argmax may be null.
  void (*max_forward)(const PoolShape& shape, const float* x, float* y, std::uint8_t* argmax);
  void (*max_backward)(const PoolShape& shape, const float* dy, const std::uint8_t* argmax, float* dx);
  void (*avg_forward)(const PoolShape& shape, const float* x, float* y);
  void (*avg_backward)(const PoolShape& shape, const float* dy, float* dx);
};

}  // namespace lathe::kernels::simd
