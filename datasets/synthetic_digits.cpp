// Every image must be the same to the byte on every machine: only + - * / and sqrt, which IEEE 754 rounds
// exactly, no function of the mathematical library, and the build compiles this file without contraction into
// fused multiply-adds.
#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/datasets/synthetic_digits.h>

#include "byte_images.h"
#include "digit_glyphs.h"
#include "synthetic.h"

#include <algorithm>
#include <cmath>
#include <mutex>

namespace lathe::datasets {
namespace {

constexpr int kSide = 28;
constexpr int kPixels = kSide * kSide;

struct Point {
  float x = 0;
  float y = 0;
};

/// A smooth displacement: offsets at the 4x4 knots of a grid over [-1.2,1.2]^2, blended cubically in between.
class Elastic {
 public:
  Elastic(Rng& rng, float amplitude) {
    for (Point& offset : offsets_)
      offset = {between(rng, -amplitude, amplitude), between(rng, -amplitude, amplitude)};
  }

  Point operator()(Point p) const {
    const auto [column, u] = cell(p.x);
    const auto [row, v] = cell(p.y);
    const Point* knot = offsets_.data() + row * kKnots + column;
    const Point top = mix(knot[0], knot[1], u);
    const Point bottom = mix(knot[kKnots], knot[kKnots + 1], u);
    const Point offset = mix(top, bottom, v);
    return {p.x + offset.x, p.y + offset.y};
  }

 private:
  static constexpr int kKnots = 4;

  static Point mix(Point a, Point b, float t) { return {a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t}; }
  static std::pair<int, float> cell(float x) {
    const float position = std::clamp((x + 1.2f) * 1.25f, 0.0f, 2.999f);
    const int index = static_cast<int>(position);
    const float t = position - static_cast<float>(index);
    return {index, t * t * (3.0f - 2.0f * t)};
  }

  std::array<Point, kKnots * kKnots> offsets_;
};

/// From the glyph's coordinates to pixels: size, slant, rotation and place.
class Affine {
 public:
  explicit Affine(Rng& rng) {
    const float height = between(rng, 8.0f, 10.5f);
    const float width = height * between(rng, 0.8f, 1.2f);
    const float slant = between(rng, -0.2f, 0.35f);
    // The rational form of the circle: t is the tangent of half the angle, +-14 degrees.
    const float t = between(rng, -0.125f, 0.125f);
    const float cosine = (1.0f - t * t) / (1.0f + t * t);
    const float sine = 2.0f * t / (1.0f + t * t);
    xx_ = cosine * width;
    xy_ = -cosine * slant * width - sine * height;
    yx_ = sine * width;
    yy_ = cosine * height - sine * slant * width;
    const float middle = 0.5f * (kSide - 1);
    x_ = middle + between(rng, -2.0f, 2.0f);
    y_ = middle + between(rng, -2.0f, 2.0f);
  }

  Point operator()(Point p) const { return {x_ + xx_ * p.x + xy_ * p.y, y_ + yx_ * p.x + yy_ * p.y}; }

 private:
  float xx_, xy_, yx_, yy_, x_, y_;
};

/// Ink: for every pixel how far it is from the edge of the nearest stroke, negative inside.
class Canvas {
 public:
  Canvas() { distance_.fill(kFar); }

  /// A line from a to b whose half width runs from `width_a` to `width_b`.
  void line(Point a, Point b, float width_a, float width_b) {
    const float reach = std::max(width_a, width_b) + 1.0f;
    const int left = clip(std::min(a.x, b.x) - reach), right = clip(std::max(a.x, b.x) + reach + 1.0f);
    const int top = clip(std::min(a.y, b.y) - reach), bottom = clip(std::max(a.y, b.y) + reach + 1.0f);
    const float dx = b.x - a.x, dy = b.y - a.y;
    const float scale = 1.0f / (dx * dx + dy * dy + 1e-6f);
    for (int y = top; y < bottom; ++y) {
      float* row = distance_.data() + y * kSide;
      const float py = static_cast<float>(y) - a.y;
      for (int x = left; x < right; ++x) {
        const float px = static_cast<float>(x) - a.x;
        const float t = unit((px * dx + py * dy) * scale);
        const float ex = px - t * dx, ey = py - t * dy;
        const float d = std::sqrt(ex * ex + ey * ey) - (width_a + (width_b - width_a) * t);
        row[x] = d < row[x] ? d : row[x];
      }
    }
  }

  /// How much of a pixel is covered, 0..1, with an edge that is one pixel soft.
  float coverage(std::size_t pixel) const { return unit(0.5f - distance_[pixel]); }

 private:
  static constexpr float kFar = 100.0f;
  static int clip(float x) { return static_cast<int>(std::clamp(x, 0.0f, static_cast<float>(kSide))); }

  std::array<float, kPixels> distance_;
};

/// Draws a smooth curve (Catmull-Rom) through `count` points; closed when the last is the first.
void draw_curve(Canvas& canvas, const Point* points, const float* widths, int count) {
  constexpr int kSteps = 5;
  const bool closed = count > 3 && points[0].x == points[count - 1].x && points[0].y == points[count - 1].y;
  for (int i = 0; i + 1 < count; ++i) {
    const Point b = points[i], c = points[i + 1];
    const Point a = i > 0 ? points[i - 1] : closed ? points[count - 2] : b;
    const Point d = i + 2 < count ? points[i + 2] : closed ? points[1] : c;
    Point from = b;
    for (int step = 1; step <= kSteps; ++step) {
      const float t = static_cast<float>(step) / kSteps;
      const float t2 = t * t, t3 = t2 * t;
      const float wa = -0.5f * t3 + t2 - 0.5f * t, wb = 1.5f * t3 - 2.5f * t2 + 1.0f;
      const float wc = -1.5f * t3 + 2.0f * t2 + 0.5f * t, wd = 0.5f * t3 - 0.5f * t2;
      const Point to{wa * a.x + wb * b.x + wc * c.x + wd * d.x, wa * a.y + wb * b.y + wc * c.y + wd * d.y};
      const float before = static_cast<float>(step - 1) / kSteps;
      canvas.line(from, to, widths[i] + (widths[i + 1] - widths[i]) * before,
                  widths[i] + (widths[i + 1] - widths[i]) * t);
      from = to;
    }
  }
}

void draw_digit(Canvas& canvas, Rng& rng, int digit) {
  const std::span<const Glyph> styles = glyphs_of(digit);
  const Glyph& glyph = styles[rng.below(styles.size())];
  const Elastic elastic(rng, 0.22f);
  const Affine affine(rng);
  const float width = between(rng, 0.6f, 1.7f);

  std::array<Point, Glyph::kMaxPoints> points;
  std::array<float, Glyph::kMaxPoints> widths;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point point{glyph.points[i].x + between(rng, -0.06f, 0.06f),
                      glyph.points[i].y + between(rng, -0.06f, 0.06f)};
    points[i] = affine(elastic(point));
    widths[i] = width * between(rng, 0.75f, 1.25f);
  }

  std::array<Point, 16> curve;
  std::array<float, 16> curve_widths;
  int count = 0;
  for (const char c : glyph.strokes) {
    if (c == ' ') {
      draw_curve(canvas, curve.data(), curve_widths.data(), count);
      count = 0;
    } else {
      curve[static_cast<std::size_t>(count)] = points[static_cast<std::size_t>(c - 'a')];
      curve_widths[static_cast<std::size_t>(count++)] = widths[static_cast<std::size_t>(c - 'a')];
    }
  }
  draw_curve(canvas, curve.data(), curve_widths.data(), count);
}

/// Short faint strokes that belong to no digit.
void draw_clutter(Canvas& canvas, Rng& rng) {
  const auto count = static_cast<int>(rng.below(4));
  for (int i = 0; i < count; ++i) {
    Point points[3];
    points[0] = {between(rng, 0.0f, kSide), between(rng, 0.0f, kSide)};
    for (int k = 1; k < 3; ++k) {
      points[k] = {points[k - 1].x + between(rng, -5.0f, 5.0f), points[k - 1].y + between(rng, -5.0f, 5.0f)};
    }
    const float width = between(rng, 0.3f, 1.2f);
    const float widths[3] = {width, width, width};
    draw_curve(canvas, points, widths, 3);
  }
}

/// Noise of mean 0 and deviation 1, close to a bell: the sum of four bytes.
void fill_noise(Rng& rng, std::array<float, kPixels>& noise) {
  constexpr float kMean = 510.0f, kScale = 1.0f / 147.8f;
  std::array<std::uint32_t, kPixels> words;
  for (std::uint32_t& word : words) word = rng.next();
  for (std::size_t i = 0; i < noise.size(); ++i) {
    const std::uint32_t pairs = (words[i] & 0x00FF00FFu) + (words[i] >> 8 & 0x00FF00FFu);
    noise[i] = (static_cast<float>(static_cast<int>((pairs & 0xFFFFu) + (pairs >> 16))) - kMean) * kScale;
  }
}

void draw_image(Rng rng, int digit, std::span<std::uint8_t> out) {
  Canvas clutter, ink;
  draw_clutter(clutter, rng);
  draw_digit(ink, rng, digit);
  const float clutter_level = between(rng, 0.15f, 0.5f);
  const float ink_level = between(rng, 0.65f, 1.0f);
  const float paper = between(rng, 0.0f, 0.15f);
  const float slope_x = between(rng, -0.006f, 0.006f), slope_y = between(rng, -0.006f, 0.006f);
  const float noise_level = between(rng, 0.0f, 0.1f);
  std::array<float, kPixels> noise;
  fill_noise(rng, noise);
  std::array<std::uint8_t, kPixels> image;  // not `out`: bytes may alias anything, which stops vectorising
  for (int y = 0; y < kSide; ++y) {
    const float left = paper + slope_y * static_cast<float>(y - kSide / 2) - slope_x * (kSide / 2);
    for (int x = 0; x < kSide; ++x) {
      const auto pixel = static_cast<std::size_t>(y * kSide + x);
      float value = left + slope_x * static_cast<float>(x);
      value += (clutter_level - value) * clutter.coverage(pixel);
      value += (ink_level - value) * ink.coverage(pixel);
      value += noise[pixel] * noise_level;
      image[pixel] = static_cast<std::uint8_t>(static_cast<int>(unit(value) * 255.0f + 0.5f));
    }
  }
  std::copy(image.begin(), image.end(), out.begin());
}

Rng image_rng(std::uint64_t seed, std::int64_t index) {
  return Rng(seed).split("synthetic-digits").split(static_cast<std::uint64_t>(index));
}

std::vector<std::uint8_t> make_labels(std::int64_t count, std::uint64_t seed) {
  check(count >= 1 && count <= 10'000'000, "synthetic-digits: {} images, expected 1..10000000", count);
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    labels[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(image_rng(seed, i).split("label").below(10));
  }
  return labels;
}

class SyntheticDigits : public ByteImages {
 public:
  SyntheticDigits(std::int64_t count, std::uint64_t seed)
      : ByteImages({kSide, kSide, 1}, make_labels(count, seed), 10), seed_(seed) {}

 private:
  std::span<const std::uint8_t> pixels() const override {
    std::call_once(drawn_, [this] {
      pixels_.resize(static_cast<std::size_t>(size()) * kPixels);
      parallel_for(size(), 64, [this](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::span out(pixels_.data() + i * kPixels, kPixels);
          draw_image(image_rng(seed_, i).split("pixels"), label(i), out);
        }
      });
    });
    return pixels_;
  }

  std::uint64_t seed_;
  mutable std::once_flag drawn_;
  mutable std::vector<std::uint8_t> pixels_;
};

}  // namespace

DatasetPtr synthetic_digits(std::int64_t count, std::uint64_t seed) {
  return std::make_shared<SyntheticDigits>(count, seed);
}

}  // namespace lathe::datasets
