#pragma once

#include <string>
#include <vector>

namespace lathe::experiments {

/// Pixels, y downwards.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;

  bool overlaps(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

struct LabelledPoint {
  double x = 0, y = 0;
  std::string text;
};

struct PlacedLabel {
  Box box;
  int side = 1;         ///< of its point: 1 right, -1 left, 0 above or below
  bool leader = false;  ///< far enough off its point to need a line to it
  bool free = true;     ///< it overlaps nothing; else there was no room
};

struct Line {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

/// Where texts of a font of this size can stand so that none overlaps another one, a point or the border of
/// `area`, each as near to its point as it can. Lines (the front) are avoided where that is possible.
std::vector<PlacedLabel> place_labels(const std::vector<LabelledPoint>& points, const Box& area,
                                      const std::vector<Line>& lines, double font_size);

}  // namespace lathe::experiments
