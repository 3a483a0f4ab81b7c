#pragma once

#include "../compression.h"

namespace lathe::kernels::reference {

/// y[i] = x[i] where mask[i] is not 0, else +0
void apply_mask(std::int64_t n, const float* x, const float* mask, float* y);

/// With c = centroids of the book, c[0] = 0 when zero_first: index = the first j with the least |x - c[j]|, y
/// = c[index].
void lookup_forward(const LookupShape& shape, const float* x, const float* centroids, float* y,
                    std::int32_t* index);

/// dcentroids[j] = sum of dy over the members of j, or their mean (0 when there are none); 0 for j = 0 when
/// zero_first.
void lookup_backward(const LookupShape& shape, bool average, const float* dy, const std::int32_t* index,
                     float* dcentroids);

}  // namespace lathe::kernels::reference
