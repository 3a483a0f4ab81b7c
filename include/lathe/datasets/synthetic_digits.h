#pragma once

#include <lathe/datasets/dataset.h>

namespace lathe::datasets {

/// Generated 28x28x1 images of the digits 0..9: strokes under random affine and elastic distortion, thickness and noise.
/// Image `index` depends on (seed, index) only, on every machine. Kept as bytes in memory.
DatasetPtr synthetic_digits(std::int64_t count, std::uint64_t seed);

}  // namespace lathe::datasets
