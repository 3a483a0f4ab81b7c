#include "labels.h"

#include "words.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace lathe::experiments {
namespace {

constexpr double kPointRadius = 6;

/// Do the segments p-q and r-s cross?
bool cross(const Line& a, const Line& b) {
  const auto side = [](const Line& line, double x, double y) {
    return (line.x1 - line.x0) * (y - line.y0) - (line.y1 - line.y0) * (x - line.x0);
  };
  return side(a, b.x0, b.y0) * side(a, b.x1, b.y1) < 0 && side(b, a.x0, a.y0) * side(b, a.x1, a.y1) < 0;
}

bool cross(const Line& line, const Box& box) {
  const auto inside = [&](double x, double y) {
    return x > box.left && x < box.right && y > box.top && y < box.bottom;
  };
  return inside(line.x0, line.y0) || inside(line.x1, line.y1) ||
         cross(line, Line{box.left, box.top, box.right, box.bottom}) ||
         cross(line, Line{box.left, box.bottom, box.right, box.top});
}

/// From a point to the nearest point of its label.
Line leader_of(const LabelledPoint& point, const Box& box) {
  return {point.x, point.y, std::clamp(point.x, box.left, box.right),
          std::clamp(point.y, box.top, box.bottom)};
}

struct Candidate {
  Box box;
  double distance = 0;
  int side = 1;
};

std::vector<Candidate> candidates_of(const LabelledPoint& point, double width, double height) {
  std::vector<Candidate> result;
  for (const double radius : {9.0, 14.0, 22.0, 32.0, 45.0, 60.0, 80.0, 105.0, 135.0})
    for (int step = 0; step < 24; ++step) {
      const double angle = step * std::numbers::pi / 12;
      const double x = point.x + radius * std::cos(angle), y = point.y + radius * std::sin(angle);
      // To the right of its point a label begins there, to the left it ends there, above and below it is
      // centred.
      const double c = std::cos(angle);
      const int side = c > 0.3 ? 1 : c < -0.3 ? -1 : 0;
      const double left = x - width * (1 - side) / 2;
      result.push_back({{left, y - height / 2, left + width, y + height / 2}, radius, side});
    }
  return result;
}

}  // namespace

std::vector<PlacedLabel> place_labels(const std::vector<LabelledPoint>& points, const Box& area,
                                      const std::vector<Line>& lines, double font_size) {
  const std::size_t n = points.size();
  std::vector<PlacedLabel> placed(n);
  std::vector<bool> done(n);
  const auto cost = [&](std::size_t i, const Candidate& candidate) {
    const Box& box = candidate.box;
    if (box.left < area.left || box.right > area.right || box.top < area.top || box.bottom > area.bottom)
      return std::numeric_limits<double>::infinity();
    double sum = candidate.distance;
    const Line leader = leader_of(points[i], box);
    for (std::size_t j = 0; j < n; ++j) {
      const LabelledPoint& other = points[j];
      const Box mark{other.x - kPointRadius, other.y - kPointRadius, other.x + kPointRadius,
                     other.y + kPointRadius};
      if (box.overlaps(mark)) sum += 2000;
      if (j == i) continue;
      if (candidate.distance > 14 && cross(leader, mark)) sum += 60;
      if (!done[j]) continue;
      if (box.overlaps(placed[j].box)) sum += 3000;
      const Line others = leader_of(other, placed[j].box);
      if (cross(others, box)) sum += 300;
      if (cross(leader, placed[j].box)) sum += 300;
      if (cross(leader, others)) sum += 80;
    }
    for (const Line& line : lines)
      if (cross(line, box)) sum += 150;
    return sum;
  };
  // Rounds: with all others in place a label may find a nearer one.
  for (int round = 0; round < 6; ++round)
    for (std::size_t i = 0; i < n; ++i) {
      const double width = 0.57 * font_size * static_cast<double>(display_width(points[i].text)) + 4;
      const double height = 1.25 * font_size;
      double least = std::numeric_limits<double>::infinity();
      done[i] = false;
      for (const Candidate& candidate : candidates_of(points[i], width, height))
        if (const double sum = cost(i, candidate); sum < least) {
          least = sum;
          placed[i] = {candidate.box, candidate.side, candidate.distance > 9, sum < 2000};
        }
      if (std::isinf(least)) placed[i].free = false;
      done[i] = true;
    }
  return placed;
}

}  // namespace lathe::experiments
