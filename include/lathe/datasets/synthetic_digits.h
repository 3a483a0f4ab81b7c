#pragma once

#include <lathe/datasets/dataset.h>

namespace lathe::datasets {

/// Generated 28x28x1 images of the digits 0..9: strokes under random affine and elastic distortion, thickness
/// and noise. Image `index` depends on (seed, index) only, on every machine. Made when the first is read,
/// kept as bytes in memory. Throws Error when count is not in 1..10,000,000.
/// Ten epochs of Adam (learning rate 1e-3, batch 128) on 60,000 images bring a linear classifier to 84.3 %
/// and the tutorial model to 97.8 % of 10,000 others.
DatasetPtr synthetic_digits(std::int64_t count, std::uint64_t seed);

}  // namespace lathe::datasets
