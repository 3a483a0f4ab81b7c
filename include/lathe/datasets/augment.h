#pragma once

#include <lathe/datasets/dataset.h>

namespace lathe::datasets {

/// For map(): moves an image by a whole number of pixels in -most..most along each axis, at random; what
/// comes in is 0. Throws Error when `most` is negative.
Transform random_shift(int most);

}  // namespace lathe::datasets
