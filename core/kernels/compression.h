#pragma once

#include "shapes.h"

#include <cstdint>

/// Looking up weights in codebooks; see reference/compression.h for the definitions.
namespace lathe::kernels {

/// x [books,size], centroids [books,k].
struct LookupShape {
  std::int64_t books = 1, size = 1, k = 1;
  bool zero_first = false;
};

/// index may not be null. One pass over x.
void lookup_forward(const LookupShape& shape, const float* x, const float* centroids, float* y,
                    std::int32_t* index);

/// dcentroids is overwritten.
void lookup_backward(const LookupShape& shape, bool average, const float* dy, const std::int32_t* index,
                     float* dcentroids);

}  // namespace lathe::kernels
