#pragma once

#include <lathe/datasets/dataset.h>

namespace lathe::datasets {

/// Generated pictures of `image` [H,W,3] with one shape each, of random colour, size, place and direction on
/// a random background with noise: class "cornered" (rectangles), class "round" (ellipses), in turns. They
/// stand in where there are no photos. Picture `index` depends on (seed, index, image) only, on every
/// machine; it is made each time it is read. Throws Error when count is not in 1..10,000,000 or the shape is
/// another.
DatasetPtr synthetic_shapes(std::int64_t count, std::uint64_t seed, const Shape& image = {224, 224, 3});

}  // namespace lathe::datasets
