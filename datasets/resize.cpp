#include "resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::datasets {
namespace {

/// The output positions of an axis: each is the weighted sum of source positions first, first + 1, ...
struct Taps {
  struct Tap {
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::size_t weights = 0;  ///< where its weights begin
  };
  std::vector<Tap> taps;
  std::vector<float> weights;
};

/// Resamples `length` source positions from `begin` on into `count`.
Taps make_taps(std::int64_t size, double begin, double length, std::int64_t count) {
  const double step = length / static_cast<double>(count);
  const double reach = std::max(step, 1.0);
  Taps result;
  result.taps.resize(static_cast<std::size_t>(count));
  std::vector<double> exact;
  for (std::size_t i = 0; i < result.taps.size(); ++i) {
    const double center = begin + (static_cast<double>(i) + 0.5) * step - 0.5;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(center - reach)) + 1);
    const auto last =
        std::min<std::int64_t>(size - 1, static_cast<std::int64_t>(std::ceil(center + reach)) - 1);
    exact.clear();
    double sum = 0;
    for (std::int64_t k = first; k <= last; ++k) {
      exact.push_back(1.0 - std::abs(static_cast<double>(k) - center) / reach);
      sum += exact.back();
    }
    result.taps[i] = {first, last - first + 1, result.weights.size()};
    for (const double weight : exact) result.weights.push_back(static_cast<float>(weight / sum));
  }
  return result;
}

template <int Channels>
void across(const Taps& columns, const float* row, float* to) {
  for (const Taps::Tap& tap : columns.taps) {
    const float* from = row + tap.first * Channels;
    const float* weight = columns.weights.data() + tap.weights;
    float sums[Channels] = {};
    for (std::int64_t k = 0; k < tap.count; ++k, from += Channels)
      for (int c = 0; c < Channels; ++c) sums[c] += weight[k] * from[c];
    for (int c = 0; c < Channels; ++c) *to++ = sums[c];
  }
}

void across(const Taps& columns, const float* row, std::int64_t channels, float* to) {
  if (channels == 3) return across<3>(columns, row, to);
  if (channels == 1) return across<1>(columns, row, to);
  for (const Taps::Tap& tap : columns.taps)
    for (std::int64_t c = 0; c < channels; ++c) {
      float sum = 0;
      for (std::int64_t k = 0; k < tap.count; ++k)
        sum +=
            columns.weights[tap.weights + static_cast<std::size_t>(k)] * row[(tap.first + k) * channels + c];
      *to++ = sum;
    }
}

}  // namespace

Box middle_box(std::int64_t image_width, std::int64_t image_height, std::int64_t width, std::int64_t height) {
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  const auto whole_width = static_cast<double>(image_width), whole_height = static_cast<double>(image_height);
  Box box;
  box.width = std::min(whole_width, whole_height * aspect);
  box.height = std::min(whole_height, box.width / aspect);
  // In whole pixels of the result, as if the whole image were resized and then cut: half a pixel would blur
  // an image that is not resized at all.
  const auto middle = [](double room, double pixel) { return std::round(room / 2 / pixel) * pixel; };
  box.left = middle(whole_width - box.width, box.width / static_cast<double>(width));
  box.top = middle(whole_height - box.height, box.height / static_cast<double>(height));
  return box;
}

void resize(std::int64_t image_width, std::int64_t image_height, const Box& box, ReadRow read_row,
            const Shape& shape, std::span<float> out) {
  const std::int64_t channels = shape[2];
  const Taps columns = make_taps(image_width, box.left, box.width, shape[1]);
  const Taps rows = make_taps(image_height, box.top, box.height, shape[0]);

  // Across every row of the image that is used, then down: narrow [rows used, W, C].
  const auto line = static_cast<std::size_t>(shape[1] * channels);
  const std::int64_t top = rows.taps.front().first;
  const std::int64_t used = rows.taps.back().first + rows.taps.back().count - top;
  std::vector<float> row(static_cast<std::size_t>(image_width * channels));
  std::vector<float> narrow(static_cast<std::size_t>(used) * line);
  for (std::int64_t y = 0; y < used; ++y) {
    read_row(top + y, row.data());
    across(columns, row.data(), channels, narrow.data() + static_cast<std::size_t>(y) * line);
  }
  std::fill(out.begin(), out.end(), 0.0f);
  for (std::size_t y = 0; y < rows.taps.size(); ++y) {
    const Taps::Tap& tap = rows.taps[y];
    float* result = out.data() + y * line;
    for (std::int64_t k = 0; k < tap.count; ++k) {
      const float weight = rows.weights[tap.weights + static_cast<std::size_t>(k)];
      const float* source = narrow.data() + static_cast<std::size_t>(tap.first - top + k) * line;
      for (std::size_t i = 0; i < line; ++i) result[i] += weight * source[i];
    }
  }
}

}  // namespace lathe::datasets
