#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/datasets/image.h>

#include "byte_images.h"
#include "exif.h"
#include "resize.h"
#include "stb_decoder.h"

#include <algorithm>

namespace lathe::datasets {
namespace {

/// One row of the picture as floats 0..1 with 1 or 3 channels.
void convert_row(const std::uint8_t* from, std::int64_t width, int from_channels, float* to,
                 int to_channels) {
  const bool color = from_channels >= 3, alpha = from_channels % 2 == 0;
  for (std::int64_t x = 0; x < width; ++x, from += from_channels, to += to_channels) {
    float rgb[3];
    for (int c = 0; c < 3; ++c) rgb[c] = static_cast<float>(from[color ? c : 0]) * kPixelScale;
    if (alpha) {
      const float opacity = static_cast<float>(from[from_channels - 1]) * kPixelScale;
      for (float& value : rgb) value = 1.0f + (value - 1.0f) * opacity;  // over white
    }
    if (to_channels == 3)
      std::copy(rgb, rgb + 3, to);
    else
      to[0] = color ? 0.299f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2] : rgb[0];
  }
}

}  // namespace

Tensor decode_image(std::span<const std::byte> file, const std::string& name, const Shape& shape,
                    const ImageOptions& options) {
  check(shape.rank() == 3 && shape.size() > 0 && (shape[2] == 1 || shape[2] == 3),
        "read_image: shape {}, expected [H,W,C] with C 1 or 3", to_string(shape));
  const Picture picture = upright(decode_picture(file, name), exif_orientation(file));
  const std::int64_t width = picture.width, height = picture.height;
  const Box box = options.fit == ImageOptions::Fit::crop
                      ? middle_box(width, height, shape[1], shape[0])
                      : Box{0, 0, static_cast<double>(width), static_cast<double>(height)};
  Tensor image = Tensor::empty({1, shape[0], shape[1], shape[2]});
  const std::span<float> out = image.mutable_span<float>();
  const auto row = [&](std::int64_t y, float* to) {
    convert_row(picture.pixels.get() + y * width * picture.channels, width, picture.channels, to,
                static_cast<int>(shape[2]));
  };
  resize(width, height, box, row, shape, out);
  for (float& value : out) {
    value = std::clamp(value, 0.0f, 1.0f);  // weights sum to one but for rounding
    if (options.invert) value = 1.0f - value;
  }
  return image;
}

Tensor read_image(const std::filesystem::path& path, const Shape& shape, const ImageOptions& options) {
  return decode_image(read_file(path), path.string(), shape, options);
}

}  // namespace lathe::datasets
