#pragma once

#include <lathe/core/tensor.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace lathe::datasets {

/// How a picture becomes the input of a model.
struct ImageOptions {
  enum class Fit {
    stretch,  ///< the whole picture, its aspect ratio not kept
    crop,     ///< the largest part in the middle with the wanted aspect ratio
  };
  Fit fit = Fit::stretch;
  bool invert = false;  ///< 1 - x: for dark digits on light paper, where MNIST has light ones on dark
};

/// Reads a PNG, JPEG or BMP file as [1,H,W,C] f32 in 0..1, where `shape` is [H,W,C] and C is 1 (Rec. 601
/// luma) or 3. What is transparent shows white. Turned upright as the EXIF data of a camera's JPEG say.
/// Resized by a triangle filter whose half width is a pixel of the result, at least one of the picture, with
/// pixel centres at halves (as Pillow's BILINEAR). Throws Error naming the file: missing, not a picture,
/// damaged or cut off, of a kind that is not read (arithmetic coding, CMYK that no Adobe segment explains),
/// larger than 64 million pixels or 256 MiB.
Tensor read_image(const std::filesystem::path& path, const Shape& shape, const ImageOptions& options = {});

/// The same from the bytes of a file; errors begin with `name`.
Tensor decode_image(std::span<const std::byte> file, const std::string& name, const Shape& shape,
                    const ImageOptions& options = {});

}  // namespace lathe::datasets
