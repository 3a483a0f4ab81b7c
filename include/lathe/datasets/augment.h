#pragma once

#include <lathe/datasets/dataset.h>

#include <cstdint>
#include <functional>
#include <span>

/// Transforms of images for map(); a map of a map does one after the other. What is random draws from the
/// generator that map() hands over: it depends on the seed of the loader, the epoch and the image only.
namespace lathe::datasets {

/// Moves an image by a whole number of pixels in -most..most along each axis, at random; what comes in is 0.
/// Throws Error when `most` is negative.
Transform random_shift(int most);

/// Mirrors left and right, with `probability`. Throws Error when it is outside 0..1.
Transform random_flip(float probability = 0.5f);

/// Strengths of random_colour, each at least 0 (0 leaves it alone).
struct ColourOptions {
  float brightness = 0.2f;
  float contrast = 0.2f;
  float saturation = 0.2f;
};

/// Brightness, contrast and saturation, in this order, each times its own factor from 1 - strength to 1 +
/// strength, not below 0: x * f; grey + (x - grey) * f with the mean luma of the image; luma + (x - luma) * f
/// with that of the pixel (Rec. 601). Values stay within 0..1. Images of one channel have no saturation.
/// Throws Error on a negative strength.
Transform random_colour(const ColourOptions& options = {});

/// A transform that changes the size: makes images `image` [H,W], of the channels they have.
struct Resampling {
  std::int64_t height = 0;
  std::int64_t width = 0;
  /// `in` of `shape` [H,W,C] to `out` [height,width,C].
  std::function<void(std::span<const float> in, const Shape& shape, std::span<float> out, Rng rng)> apply;
};

/// A data set whose images pass through `resampling` as they are read. Throws Error when one of its images
/// would be empty.
DatasetPtr map(DatasetPtr source, Resampling resampling);

/// The middle of the image, or any part of it at random. What lies outside of a smaller image is 0. Throws
/// Error unless both extents are positive.
Resampling center_crop(std::int64_t height, std::int64_t width);
Resampling random_crop(std::int64_t height, std::int64_t width);

/// What random_resized_crop draws from.
struct ResizedCropOptions {
  float least_area = 0.08f;         ///< of the image's, above 0, at most 1
  float most_aspect = 4.0f / 3.0f;  ///< width / height lies between 1 / this and this, at least 1
};

/// A part of random area and aspect ratio (its logarithm uniform), resized as read_image() does; the largest
/// part in the middle when ten tries do not fit. Szegedy et al. 2015, section 6. Throws Error on an option
/// out of range.
Resampling random_resized_crop(std::int64_t height, std::int64_t width,
                               const ResizedCropOptions& options = {});

}  // namespace lathe::datasets
