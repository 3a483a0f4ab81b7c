#pragma once

#include "gnuplot.h"
#include "report_tables.h"

#include <string>
#include <vector>

namespace lathe::experiments {

/// A point of a plane of cost and accuracy.
struct PlanePoint {
  double x = 0, y = 0;
  double low = 0, high = 0;  ///< of y, over the seeds
  std::string series;        ///< whose colour and mark it has
  std::string label, hover;
  bool front = false;
};

struct Plane {
  std::string name, caption, x_label, y_label;
  /// y is an accuracy in percent and is spaced by its error, so that 99.0 and 99.5 lie as far apart as 90
  /// and 95.
  bool accuracy = true;
};

/// Points with labels that do not overlap; those on the front are joined.
Figure plane_figure(const Plane& plane, std::vector<PlanePoint> points);

/// Round numbers within [low, high], at most about `most` of them; of a logarithmic axis where it spans more
/// than a factor of five.
std::vector<double> ticks(double low, double high, int most, bool logarithmic);
/// They as gnuplot takes them, thousands as k; `error`: the label is 100 less the value.
std::string tick_list(const std::vector<double>& values, bool error = false);

}  // namespace lathe::experiments
