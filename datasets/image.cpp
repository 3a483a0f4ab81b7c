#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/datasets/image.h>

#include "byte_images.h"
#include "stb_decoder.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::datasets {
namespace {

/// One output position along an axis: the weighted sum of source positions first, first + 1, ...
struct Tap {
  std::int64_t first = 0;
  std::vector<float> weights;
};

/// Resamples `length` source positions from `begin` on into `count` by a triangle whose half width is one
/// position of the coarser side: bilinear when it enlarges, close to a mean over the area when it shrinks.
std::vector<Tap> make_taps(std::int64_t size, double begin, double length, std::int64_t count) {
  const double step = length / static_cast<double>(count);
  const double reach = std::max(step, 1.0);
  std::vector<Tap> taps(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < taps.size(); ++i) {
    const double center = begin + (static_cast<double>(i) + 0.5) * step - 0.5;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(center - reach)) + 1);
    const auto last =
        std::min<std::int64_t>(size - 1, static_cast<std::int64_t>(std::ceil(center + reach)) - 1);
    double sum = 0;
    taps[i].first = first;
    for (std::int64_t k = first; k <= last; ++k) {
      const double weight = 1.0 - std::abs(static_cast<double>(k) - center) / reach;
      taps[i].weights.push_back(static_cast<float>(weight));
      sum += weight;
    }
    for (float& weight : taps[i].weights) weight = static_cast<float>(weight / sum);
  }
  return taps;
}

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
  const Picture picture = decode_picture(file, name);
  const std::int64_t out_height = shape[0], out_width = shape[1], channels = shape[2];
  double width = picture.width, height = picture.height;
  if (options.fit == ImageOptions::Fit::crop) {
    const double aspect = static_cast<double>(out_width) / static_cast<double>(out_height);
    width = std::min(width, height * aspect);
    height = std::min(height, width / aspect);
  }
  const std::vector<Tap> columns = make_taps(picture.width, (picture.width - width) / 2, width, out_width);
  const std::vector<Tap> rows = make_taps(picture.height, (picture.height - height) / 2, height, out_height);

  // Across every row of the picture that is used, then down: narrow [height, out_width, C].
  const std::int64_t top = rows.front().first;
  const std::int64_t used = rows.back().first + static_cast<std::int64_t>(rows.back().weights.size()) - top;
  std::vector<float> row(static_cast<std::size_t>(picture.width * channels));
  std::vector<float> narrow(static_cast<std::size_t>(used * out_width * channels));
  float* to = narrow.data();
  for (std::int64_t y = top; y < top + used; ++y) {
    const std::uint8_t* from = picture.pixels.get() + y * picture.width * picture.channels;
    convert_row(from, picture.width, picture.channels, row.data(), static_cast<int>(channels));
    for (const Tap& tap : columns) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const float* source = row.data() + tap.first * channels + c;
        float sum = 0;
        for (std::size_t k = 0; k < tap.weights.size(); ++k)
          sum += tap.weights[k] * source[static_cast<std::int64_t>(k) * channels];
        *to++ = sum;
      }
    }
  }

  Tensor image = Tensor::zeros({1, out_height, out_width, channels});
  const std::span<float> out = image.mutable_span<float>();
  const auto line = static_cast<std::size_t>(out_width * channels);
  for (std::size_t y = 0; y < rows.size(); ++y) {
    float* result = out.data() + y * line;
    for (std::size_t k = 0; k < rows[y].weights.size(); ++k) {
      const float* source = narrow.data() + (static_cast<std::size_t>(rows[y].first - top) + k) * line;
      for (std::size_t i = 0; i < line; ++i) result[i] += rows[y].weights[k] * source[i];
    }
  }
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
