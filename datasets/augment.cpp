#include <lathe/base/error.h>
#include <lathe/datasets/augment.h>

#include <algorithm>

namespace lathe::datasets {
namespace {

/// out[i] = in[i - by] along an axis of `extent` blocks of `block` elements, zeros where there is no in. In
/// place.
void shift(std::span<float> values, std::int64_t extent, std::int64_t block, std::int64_t by) {
  const std::int64_t kept = std::max<std::int64_t>(extent - std::abs(by), 0) * block;
  const auto first = values.begin(), last = values.end();
  if (by > 0) {
    std::copy_backward(first, first + kept, last);
    std::fill(first, last - kept, 0.0f);
  } else if (by < 0) {
    std::copy(last - kept, last, first);
    std::fill(first + kept, last, 0.0f);
  }
}

/// Rec. 601; the value itself of one channel.
float luma(const float* pixel, std::size_t channels) {
  return channels == 3 ? 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2] : pixel[0];
}

}  // namespace

Transform random_shift(int most) {
  check(most >= 0, "random_shift: {} pixels is negative", most);
  return [most](std::span<float> image, const Shape& shape, Rng rng) {
    const auto draw = [&] {
      return static_cast<std::int64_t>(rng.below(2 * static_cast<std::uint64_t>(most) + 1)) - most;
    };
    const std::int64_t height = shape[0], width = shape[1], channels = shape[2];
    const std::int64_t down = draw(), right = draw();
    shift(image, height, width * channels, down);
    for (std::int64_t row = 0; row < height; ++row)
      shift(image.subspan(static_cast<std::size_t>(row * width * channels),
                          static_cast<std::size_t>(width * channels)),
            width, channels, right);
  };
}

Transform random_flip(float probability) {
  check(probability >= 0 && probability <= 1, "random_flip: probability {}, expected 0..1", probability);
  return [probability](std::span<float> image, const Shape& shape, Rng rng) {
    if (rng.uniform() >= probability) return;
    const std::int64_t height = shape[0], width = shape[1], channels = shape[2];
    for (std::int64_t y = 0; y < height; ++y) {
      float* row = image.data() + y * width * channels;
      for (std::int64_t x = 0; x < width / 2; ++x)
        std::swap_ranges(row + x * channels, row + (x + 1) * channels, row + (width - 1 - x) * channels);
    }
  };
}

Transform random_colour(const ColourOptions& options) {
  check(options.brightness >= 0 && options.contrast >= 0 && options.saturation >= 0,
        "random_colour: strengths {}, {} and {}, expected at least 0", options.brightness, options.contrast,
        options.saturation);
  return [options](std::span<float> image, const Shape& shape, Rng rng) {
    const auto draw = [&](float strength) { return std::max(0.0f, rng.uniform(1 - strength, 1 + strength)); };
    const float brightness = draw(options.brightness), contrast = draw(options.contrast);
    const float saturation = draw(options.saturation);
    const auto channels = static_cast<std::size_t>(shape[2]);
    const auto clip = [](float value) { return std::clamp(value, 0.0f, 1.0f); };
    double sum = 0;
    for (std::size_t i = 0; i < image.size(); i += channels) {
      for (std::size_t c = 0; c < channels; ++c) image[i + c] = clip(image[i + c] * brightness);
      sum += static_cast<double>(luma(&image[i], channels));
    }
    const float grey = static_cast<float>(sum / static_cast<double>(image.size() / channels));
    for (std::size_t i = 0; i < image.size(); i += channels) {
      for (std::size_t c = 0; c < channels; ++c) image[i + c] = clip(grey + (image[i + c] - grey) * contrast);
      if (channels != 3) continue;
      const float own = luma(&image[i], channels);
      for (std::size_t c = 0; c < channels; ++c) image[i + c] = clip(own + (image[i + c] - own) * saturation);
    }
  };
}

}  // namespace lathe::datasets
