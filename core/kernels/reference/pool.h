#pragma once

#include "../shapes.h"

namespace lathe::kernels::reference {

/// y = the maximum of each window; NaN wins. argmax, unless null, gets where in the window it was found, row
/// * kw + column, the first of equals. Index is std::uint8_t, or std::int32_t for windows of more than 256
/// elements.
template <typename Index>
void max_pool_forward(const PoolShape& shape, const float* x, float* y, Index* argmax);

/// dx = dy at the maximum of each window, 0 elsewhere. Overwrites.
template <typename Index>
void max_pool_backward(const PoolShape& shape, const float* dy, const Index* argmax, float* dx);

/// y = the mean of the elements of each window that lie inside the image.
void avg_pool_forward(const PoolShape& shape, const float* x, float* y);
/// Overwrites dx.
void avg_pool_backward(const PoolShape& shape, const float* dy, float* dx);

}  // namespace lathe::kernels::reference
