#include "compression.h"

#include "simd/simd.h"

#include <lathe/base/parallel.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace lathe::kernels {
namespace {

/// Elements that one thread sums up at once. Fixed, so that any number of threads adds in the same order.
constexpr std::int64_t kPart = 16384;

/// A codebook as a step function: what lies above threshold r - 1 and up to threshold r has values[r].
struct Steps {
  std::vector<float> thresholds, values;
  std::vector<std::int32_t> indices;
};

/// The largest float t such that x > t picks the upper of two centroids. In between lies their middle, which
/// double holds exactly (but for magnitudes 2^28 apart); at the middle itself the lower index wins.
float threshold_between(float lower, float upper, bool upper_wins_ties) {
  const double middle = (double{lower} + double{upper}) / 2;
  constexpr float kBelow = -std::numeric_limits<float>::infinity();
  auto threshold = static_cast<float>(middle);
  if (double{threshold} > middle) return std::nextafter(threshold, kBelow);
  return double{threshold} == middle && upper_wins_ties ? std::nextafter(threshold, kBelow) : threshold;
}

/// False when a centroid is not finite.
bool make_steps(const LookupShape& shape, const float* centroids, Steps& steps) {
  const auto value = [&](std::int32_t index) {
    return shape.zero_first && index == 0 ? 0.0f : centroids[index];
  };
  std::vector<std::int32_t> order(static_cast<std::size_t>(shape.k));
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = static_cast<std::int32_t>(j);
  if (!std::ranges::all_of(order, [&](std::int32_t j) { return std::isfinite(value(j)); })) return false;
  std::ranges::stable_sort(order, {}, value);
  steps = {};
  for (std::int32_t j : order) {
    const float v = value(j);
    if (!steps.values.empty()) {
      if (steps.values.back() == v) continue;  // equal centroids: the lowest index, which comes first
      steps.thresholds.push_back(threshold_between(steps.values.back(), v, j < steps.indices.back()));
    }
    steps.values.push_back(v);
    steps.indices.push_back(j);
  }
  return true;
}

}  // namespace

void lookup_forward(const LookupShape& s, const float* x, const float* centroids, float* y,
                    std::int32_t* index) {
  // Books in turn; a large one is split over the threads, small ones are dealt out to them.
  const auto look_up = [&](const Steps& steps, std::int64_t first, std::int64_t size) {
    simd::simd().compression.step(x + first, steps.thresholds.data(), steps.values.data(),
                                  steps.indices.data(), static_cast<std::int64_t>(steps.thresholds.size()),
                                  y + first, index + first, size);
  };
  const auto spoil = [&](std::int64_t book) {
    std::fill_n(y + book * s.size, s.size, std::numeric_limits<float>::quiet_NaN());
    std::fill_n(index + book * s.size, s.size, 0);
  };
  if (s.books == 1) {
    Steps steps;
    if (!make_steps(s, centroids, steps)) return spoil(0);
    parallel_for(s.size, kPart,
                 [&](std::int64_t begin, std::int64_t end) { look_up(steps, begin, end - begin); });
    return;
  }
  parallel_for(s.books, std::max<std::int64_t>(1, kPart / s.size), [&](std::int64_t begin, std::int64_t end) {
    Steps steps;
    for (std::int64_t book = begin; book < end; ++book)
      if (make_steps(s, centroids + book * s.k, steps))
        look_up(steps, book * s.size, s.size);
      else
        spoil(book);
  });
}

void lookup_backward(const LookupShape& s, bool average, const float* dy, const std::int32_t* index,
                     float* dcentroids) {
  struct Sum {
    double sum = 0;
    std::int64_t count = 0;
  };
  const auto k = static_cast<std::size_t>(s.k);
  const std::int64_t parts = (s.size + kPart - 1) / kPart;
  std::vector<Sum> sums(static_cast<std::size_t>(s.books * parts) * k);
  parallel_for(s.books * parts, std::max<std::int64_t>(1, kPart / s.size),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t p = begin; p < end; ++p) {
                   const std::int64_t first = p / parts * s.size + p % parts * kPart;
                   const std::int64_t last = std::min(first + kPart, (p / parts + 1) * s.size);
                   Sum* own = sums.data() + static_cast<std::size_t>(p) * k;
                   for (std::int64_t i = first; i < last; ++i) {
                     Sum& sum = own[index[i]];
                     sum.sum += double{dy[i]};
                     ++sum.count;
                   }
                 }
               });
  for (std::int64_t book = 0; book < s.books; ++book) {
    for (std::size_t j = 0; j < k; ++j) {
      Sum total;
      for (std::int64_t p = book * parts; p < (book + 1) * parts; ++p) {
        const Sum& part = sums[static_cast<std::size_t>(p) * k + j];
        total.sum += part.sum;
        total.count += part.count;
      }
      if (average && total.count > 0) total.sum /= static_cast<double>(total.count);
      dcentroids[static_cast<std::size_t>(book) * k + j] =
          s.zero_first && j == 0 ? 0.0f : static_cast<float>(total.sum);
    }
  }
}

}  // namespace lathe::kernels
