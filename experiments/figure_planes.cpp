#include "figure_planes.h"

#include "labels.h"
#include "words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lathe::experiments {
namespace {

using palette::kInk;
using palette::kMuted;

constexpr int kWidth = 760, kHeight = 480;
constexpr Box kArea{72, 44, kWidth - 18, kHeight - 56};  // where points are
constexpr int kMarks[] = {7, 5, 9, 13, 11, 15};          // circle, square, triangle, diamond, ...

/// An axis from `low` to `high`, in pixels.
struct Axis {
  double low = 0, high = 1;
  bool logarithmic = false;

  double share(double value) const {
    return logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  }
};

/// Around all values with some room. `floor` keeps a logarithmic axis off zero.
Axis axis_of(const std::vector<double>& values, bool logarithmic, double room) {
  Axis axis{.logarithmic = logarithmic};
  double low = *std::ranges::min_element(values), high = *std::ranges::max_element(values);
  if (logarithmic) {
    const double factor = std::max(std::pow(high / low, room), 1.08);
    axis.low = low / factor, axis.high = high * factor;
  } else {
    double margin = (high - low) * room;
    if (margin <= 0) margin = std::max(std::abs(high) * 0.1, 1e-3);
    axis.low = low - margin, axis.high = high + margin;
  }
  return axis;
}

std::string short_number(double value) {
  if (std::abs(value) >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (std::abs(value) >= 1000) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", std::abs(value) < 1e-12 ? 0 : value);
}

}  // namespace

std::string tick_list(const std::vector<double>& values, bool error) {
  std::string text;
  for (double value : values) {
    std::string label = short_number(value);
    if (error) label = fmt::format("{:g}", std::round((100 - value) * 1e6) / 1e6);
    text += fmt::format("{}'{}' {:.10g}", text.empty() ? "" : ", ", label, value);
  }
  return "(" + text + ")";
}

std::vector<double> ticks(double low, double high, int most, bool logarithmic) {
  std::vector<double> best;
  if (logarithmic && high / low > 5) {
    for (const std::vector<double>& digits :
         {std::vector<double>{1}, std::vector<double>{1, 3}, std::vector<double>{1, 2, 5},
          std::vector<double>{1, 1.5, 2, 3, 5, 7}}) {
      std::vector<double> values;
      for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10)
        for (double digit : digits)
          if (digit * decade >= low && digit * decade <= high) values.push_back(digit * decade);
      if (best.empty() || static_cast<int>(values.size()) <= most) best = values;
    }
    return best;
  }
  for (double step = std::pow(10, std::ceil(std::log10(std::max(high - low, 1e-9))) + 1); step > 1e-12;) {
    for (const double part : {1.0, 0.5, 0.2}) {
      std::vector<double> values;
      for (double k = std::ceil(low / (step * part)); k * step * part <= high && values.size() < 100; ++k)
        values.push_back(k * step * part);
      if (static_cast<int>(values.size()) > most) return best;
      best = values;
    }
    step /= 10;
  }
  return best;
}

Figure plane_figure(const Plane& plane, std::vector<PlanePoint> points) {
  Figure figure{.name = plane.name, .caption = plane.caption, .width = kWidth, .height = kHeight};
  // Errors of 0 do not fit on a logarithmic axis: they stand at half the smallest step of 10,000 images.
  constexpr double kLeastError = 0.005;
  const auto height = [&](double y) { return plane.accuracy ? std::max(100 - y, kLeastError) : y; };

  std::vector<double> xs, ys;
  for (const PlanePoint& point : points)
    xs.push_back(point.x), ys.push_back(height(point.low)), ys.push_back(height(point.high));
  const double lowest = *std::ranges::min_element(xs), highest = *std::ranges::max_element(xs);
  const Axis x = axis_of(xs, lowest > 0 && highest / lowest > 4, 0.13);
  Axis y = axis_of(ys, plane.accuracy, 0.13);
  if (!plane.accuracy) std::swap(y.low, y.high);  // both are drawn downwards from high to low

  std::vector<std::string> series;
  for (const PlanePoint& point : points)
    if (std::ranges::find(series, point.series) == series.end()) series.push_back(point.series);

  const auto pixel_x = [&](double value) { return kArea.left + x.share(value) * (kArea.right - kArea.left); };
  const auto pixel_y = [&](double value) {
    return kArea.top + y.share(height(value)) * (kArea.bottom - kArea.top);
  };
  // The front as lines, left to right.
  std::vector<const PlanePoint*> front;
  for (const PlanePoint& point : points)
    if (point.front) front.push_back(&point);
  std::ranges::sort(front, {}, [](const PlanePoint* point) { return point->x; });
  std::vector<Line> lines;
  for (std::size_t i = 1; i < front.size(); ++i)
    lines.push_back(
        {pixel_x(front[i - 1]->x), pixel_y(front[i - 1]->y), pixel_x(front[i]->x), pixel_y(front[i]->y)});

  std::vector<Line> avoided = lines;
  for (const PlanePoint& point : points)
    if (point.low < point.high)
      avoided.push_back({pixel_x(point.x), pixel_y(point.low), pixel_x(point.x), pixel_y(point.high)});
  const bool crowded = points.size() > 45;
  std::vector<LabelledPoint> labelled;
  for (const PlanePoint& point : points)
    labelled.push_back({pixel_x(point.x), pixel_y(point.y), crowded && !point.front ? "" : point.label});
  const auto labels =
      place_labels(labelled, {kArea.left + 2, kArea.top + 2, kArea.right - 2, kArea.bottom - 2}, avoided, 11);

  std::string& s = figure.script;
  s += fmt::format(
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset tmargin at screen {:.5f}\nset bmargin "
      "at screen {:.5f}\n",
      kArea.left / kWidth, kArea.right / kWidth, 1 - kArea.top / kHeight, 1 - kArea.bottom / kHeight);
  s += fmt::format("set xlabel {} offset 0,0.2\nset ylabel {} offset 0.5,0\n", quote_gnuplot(plane.x_label),
                   quote_gnuplot(plane.y_label));
  if (x.logarithmic) s += "set logscale x\n";
  if (y.logarithmic) s += "set logscale y\n";
  s += fmt::format("set xrange [{:.10g}:{:.10g}]\nset yrange [{:.10g}:{:.10g}]\n", x.low, x.high, y.high,
                   y.low);
  s += "set xtics " + tick_list(ticks(x.low, x.high, 9, x.logarithmic), false) + "\n";
  s += "set ytics " +
       tick_list(ticks(std::min(y.low, y.high), std::max(y.low, y.high), 9, y.logarithmic), plane.accuracy) +
       "\n";
  s += fmt::format("set key at screen {:.5f},{:.5f} left top horizontal Left reverse samplen 0.6 width 1\n",
                   (kArea.left - 10) / kWidth, 1 - 8.0 / kHeight);
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (labelled[i].text.empty()) continue;
    const Box& box = labels[i].box;
    const auto color =
        series_color(static_cast<std::size_t>(std::ranges::find(series, points[i].series) - series.begin()));
    const int side = labels[i].side;
    const double at = side > 0 ? box.left + 2 : side < 0 ? box.right - 2 : (box.left + box.right) / 2;
    s += fmt::format("set label {} at screen {:.5f},{:.5f} {} front tc rgb '{}'\n",
                     quote_gnuplot(labelled[i].text), at / kWidth, 1 - (box.top + box.bottom) / 2 / kHeight,
                     side > 0   ? "left"
                     : side < 0 ? "right"
                                : "center",
                     color);
    if (labels[i].leader)
      s += fmt::format(
          "set arrow from screen {:.5f},{:.5f} to screen {:.5f},{:.5f} nohead back lw 0.7 lc rgb '{}'\n",
          labelled[i].x / kWidth, 1 - labelled[i].y / kHeight,
          std::clamp(labelled[i].x, box.left, box.right) / kWidth,
          1 - std::clamp(labelled[i].y, box.top + 2, box.bottom - 2) / kHeight, kMuted);
  }

  std::string plots;
  const auto plot = [&](const std::string& text) { plots += (plots.empty() ? "plot " : ", \\\n  ") + text; };
  // The front is the first block of data, then one for each series.
  std::string& data = figure.data;
  data = "# x\ty\tlow\thigh\tname\tvalue\n";
  for (const PlanePoint* point : front) data += fmt::format("{:.10g}\t{:.10g}\n", point->x, height(point->y));
  if (front.empty()) data += fmt::format("{:.10g}\tNaN\n", x.low);
  data += "\n\n";
  if (front.size() > 1)
    plot(fmt::format("data index 0 using 1:2 with lines lw 1.6 dt (8,5) lc rgb '{}' title 'front'", kMuted));
  for (std::size_t i = 0; i < series.size(); ++i) {
    bool spread = false;
    for (const PlanePoint& point : points) {
      if (point.series != series[i]) continue;
      spread = spread || point.low < point.high;
      data +=
          fmt::format("{:.10g}\t{:.10g}\t{:.10g}\t{:.10g}\t{}\t{}\n", point.x, height(point.y),
                      height(point.low), height(point.high), data_text(point.label), data_text(point.hover));
    }
    data += "\n\n";
    const char* color = series_color(i);
    const int mark = kMarks[i % std::size(kMarks)];
    if (spread)
      plot(fmt::format("data index {} using 1:2:3:4 with yerrorbars pt 0 ps 0 lw 1 lc rgb '{}' notitle",
                       i + 1, color));
    plot(fmt::format("data index {} using 1:2:6 with labels hypertext point pt {} ps 0.9 lc rgb '{}' notitle",
                     i + 1, mark, color));
    plot(fmt::format("keyentry with points pt {} ps 0.9 lc rgb '{}' title {}", mark, color,
                     quote_gnuplot(series[i])));
  }
  s += plots + "\n";
  return figure;
}

}  // namespace lathe::experiments
