#pragma once

#include <array>
#include <span>
#include <string_view>

namespace lathe::datasets {

/// A point of a glyph: x to the right, y down, the digit about within +-0.6 x +-1.
struct GlyphPoint {
  float x = 0;
  float y = 0;
};

/// One way to write a digit. A stroke is a smooth curve through its points, which are letters: "a" is
/// points[0]. Strokes are parted by spaces, a stroke that ends where it began is closed, and a letter used in
/// two strokes is a corner or a branch.
struct Glyph {
  static constexpr std::size_t kMaxPoints = 12;
  int digit = 0;
  std::string_view strokes;
  std::array<GlyphPoint, kMaxPoints> points{};
};

/// All ways to write a digit (0..9), at least two.
std::span<const Glyph> glyphs_of(int digit);

}  // namespace lathe::datasets
