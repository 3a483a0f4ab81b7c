#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>

/// Norm of the difference / norm of what is wanted.
inline double relative_error(std::span<const float> given, std::span<const float> wanted) {
  REQUIRE(given.size() == wanted.size());
  double error = 0, power = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const double g = static_cast<double>(given[i]), w = static_cast<double>(wanted[i]);
    error += (w - g) * (w - g);
    power += w * w;
  }
  return std::sqrt(error / std::max(power, 1e-12));
}
