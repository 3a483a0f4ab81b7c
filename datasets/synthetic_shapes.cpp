// As for the digits: only + - * / and sqrt, and no contraction into fused multiply-adds, so that every
// picture is the same on every machine.
#include <lathe/base/error.h>
#include <lathe/datasets/synthetic_shapes.h>

#include "byte_images.h"
#include "synthetic.h"

#include <array>
#include <cassert>
#include <cmath>

namespace lathe::datasets {
namespace {

using Colour = std::array<float, 3>;

Colour random_colour_of(Rng& rng) { return {between(rng, 0, 1), between(rng, 0, 1), between(rng, 0, 1)}; }

/// How far apart two colours are; those of shape and background must not be one.
float distance(const Colour& a, const Colour& b) {
  float sum = 0;
  for (std::size_t c = 0; c < 3; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return std::sqrt(sum);
}

/// A shape in coordinates where the shorter side of the picture is 1.
struct Figure {
  bool round = false;
  float x = 0, y = 0;         ///< of its middle
  float right = 1, down = 0;  ///< its direction, of length 1
  float half_length = 0, half_width = 0;

  /// Share of a pixel of size `pixel` around (px, py) that it covers, about.
  float cover(float px, float py, float pixel) const {
    const float dx = px - x, dy = py - y;
    const float u = dx * right + dy * down, v = dy * right - dx * down;
    float inside = 0;  // how far inside of the outline
    if (round) {
      const float a = u / half_length, b = v / half_width;
      inside = (1.0f - std::sqrt(a * a + b * b)) * half_width;
    } else {
      const float a = half_length - std::abs(u), b = half_width - std::abs(v);
      inside = a < b ? a : b;
    }
    return unit(inside / pixel + 0.5f);
  }
};

Figure random_figure(bool round, Rng& rng) {
  Figure figure{.round = round};
  figure.x = between(rng, 0.3f, 0.7f);
  figure.y = between(rng, 0.3f, 0.7f);
  float a = 0, b = 0, length = 0;
  do {  // in a ring, so that every direction is as likely
    a = between(rng, -1, 1);
    b = between(rng, -1, 1);
    length = std::sqrt(a * a + b * b);
  } while (length > 1.0f || length < 0.1f);
  figure.right = a / length;
  figure.down = b / length;
  figure.half_length = between(rng, 0.15f, 0.35f);
  figure.half_width = figure.half_length * between(rng, 0.6f, 1.0f);
  return figure;
}

class Shapes : public Dataset {
 public:
  Shapes(std::int64_t count, std::uint64_t seed, const Shape& image)
      : count_(count), seed_(seed), image_(image) {}
  std::int64_t size() const override { return count_; }
  Shape image_shape() const override { return image_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index % 2); }

  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    assert(index >= 0 && index < count_);
    Rng rng = Rng(seed_).split("shapes").split(static_cast<std::uint64_t>(index));
    const Figure figure = random_figure(label(index) == 1, rng);
    const Colour inside = random_colour_of(rng);
    Colour left = random_colour_of(rng), right = random_colour_of(rng);
    while (distance(left, inside) < 0.35f) left = random_colour_of(rng);
    while (distance(right, inside) < 0.35f) right = random_colour_of(rng);
    const float noise = between(rng, 0, 0.15f);
    const std::int64_t height = image_[0], width = image_[1];
    const float pixel = 1.0f / static_cast<float>(height < width ? height : width);
    float* to = out.data();
    for (std::int64_t y = 0; y < height; ++y)
      for (std::int64_t x = 0; x < width; ++x) {
        const float share = (static_cast<float>(x) + 0.5f) / static_cast<float>(width);
        const float cover = figure.cover((static_cast<float>(x) + 0.5f) * pixel,
                                         (static_cast<float>(y) + 0.5f) * pixel, pixel);
        const float grain = between(rng, -noise, noise);
        for (std::size_t c = 0; c < 3; ++c) {
          const float behind = left[c] + (right[c] - left[c]) * share;
          const float value = unit(behind + (inside[c] - behind) * cover + grain);
          *to++ = static_cast<float>(static_cast<std::uint8_t>(value * 255.0f + 0.5f)) * kPixelScale;
        }
      }
  }

 private:
  std::int64_t count_;
  std::uint64_t seed_;
  Shape image_;
  std::vector<std::string> classes_{"cornered", "round"};
};

}  // namespace

DatasetPtr synthetic_shapes(std::int64_t count, std::uint64_t seed, const Shape& image) {
  check(count >= 1 && count <= 10'000'000, "synthetic shapes: {} pictures, expected 1..10000000", count);
  check(image.rank() == 3 && image.size() > 0 && image[2] == 3,
        "synthetic shapes: pictures of shape {}, expected [H,W,3]", to_string(image));
  return std::make_shared<Shapes>(count, seed, image);
}

}  // namespace lathe::datasets
