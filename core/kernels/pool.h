#pragma once

#include "shapes.h"

/// Pooling of batches; see reference/pool.h for the definitions.
namespace lathe::kernels {

/// The largest window whose argmax fits a byte; larger ones take the std::int32_t functions.
inline constexpr std::int64_t kMaxByteWindow = 256;

/// argmax may be null.
void max_pool_forward(const PoolShape& shape, const float* x, float* y, std::uint8_t* argmax);
void max_pool_forward(const PoolShape& shape, const float* x, float* y, std::int32_t* argmax);
void max_pool_backward(const PoolShape& shape, const float* dy, const std::uint8_t* argmax, float* dx);
void max_pool_backward(const PoolShape& shape, const float* dy, const std::int32_t* argmax, float* dx);

void avg_pool_forward(const PoolShape& shape, const float* x, float* y);
void avg_pool_backward(const PoolShape& shape, const float* dy, float* dx);

}  // namespace lathe::kernels
