#include "norm.h"

#include "scratch.h"
#include "simd/simd.h"

#include <lathe/base/parallel.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace lathe::kernels {
namespace {

constexpr std::int64_t kPart =
    8192;  // elements, about: some microseconds of work that stay in the first cache

/// Elements after which the channels begin anew in whole vectors: see simd::Norm.
std::int64_t period_of(std::int64_t channels) {
  constexpr std::int64_t kWide = 256;          // a longer inner loop costs nothing more to start
  if (channels >= kWide / 2) return channels;  // the rest of a vector at each row's end costs little
  const std::int64_t whole = std::lcm<std::int64_t>(channels, 16);
  return whole * ((kWide + whole - 1) / whole);
}

/// Arrays per channel, each repeated over a period.
class Repeated {
 public:
  Repeated(const NormShape& shape, std::initializer_list<const float*> arrays)
      : period_(period_of(shape.channels)), floats_(period_ * static_cast<std::int64_t>(arrays.size())) {
    float* to = floats_.data();
    for (const float* array : arrays)
      for (std::int64_t i = 0; i < period_; i += shape.channels) to = std::copy_n(array, shape.channels, to);
  }
  std::int64_t period() const { return period_; }
  const float* operator[](int array) const { return floats_.data() + array * period_; }

 private:
  std::int64_t period_;
  Scratch floats_;
};

/// Calls f(begin, end) in elements, parts of whole periods.
template <typename F>
void for_each_range(const NormShape& shape, std::int64_t period, F&& f) {
  const std::int64_t n = shape.rows * shape.channels;
  const std::int64_t blocks = (n + period - 1) / period;
  parallel_for(blocks, std::max<std::int64_t>(1, kPart / period),
               [&](std::int64_t begin, std::int64_t end) { f(begin * period, std::min(n, end * period)); });
}

/// Two sums per channel: f(begin, size, first, second) adds a range of elements to two arrays of a period.
template <typename F>
void sum_in_parts(const NormShape& shape, std::int64_t period, double* first, double* second, F&& f) {
  const std::int64_t n = shape.rows * shape.channels;
  // Of a large tensor larger parts, up to where single precision begins to show: their sums cost something,
  // too.
  const std::int64_t wanted = std::clamp<std::int64_t>(n / 64, kPart, 8 * kPart);
  const std::int64_t part = std::max<std::int64_t>(1, wanted / (4 * period)) * 4 * period;
  const std::int64_t parts = (n + part - 1) / part;
  const Scratch sums(parts * 2 * period);
  parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
    // Backwards: what was written last, or is read first by the next pass, is in the cache still.
    for (std::int64_t p = end; p-- > begin;) {
      float* out = sums.data() + p * 2 * period;
      std::fill_n(out, 2 * period, 0.0f);
      f(p * part, std::min(part, n - p * part), out, out + period);
    }
  });
  const std::int64_t work = parts * (period / shape.channels);  // additions for a channel
  parallel_for(shape.channels, std::max<std::int64_t>(16, kPart / work),
               [&](std::int64_t begin, std::int64_t end) {
                 std::fill(first + begin, first + end, 0.0);
                 std::fill(second + begin, second + end, 0.0);
                 for (std::int64_t p = 0; p < parts; ++p) {
                   const float* in = sums.data() + p * 2 * period;
                   for (std::int64_t i = 0; i < period; i += shape.channels)
                     for (std::int64_t c = begin; c < end; ++c) {
                       first[c] += static_cast<double>(in[i + c]);
                       second[c] += static_cast<double>(in[period + i + c]);
                     }
                 }
               });
}

}  // namespace

void norm_moments(const NormShape& shape, const float* x, double* mean, double* variance) {
  // Deviations from a pivot near the mean, taken from a few rows, keep the squares from cancelling.
  constexpr std::int64_t kSamples = 16;
  const std::int64_t samples = std::min(shape.rows, kSamples);
  const Scratch pivot(shape.channels);
  std::fill_n(pivot.data(), shape.channels, 0.0f);
  for (std::int64_t s = 0; s < samples; ++s) {
    const float* row = x + shape.rows * s / samples * shape.channels;
    for (std::int64_t c = 0; c < shape.channels; ++c) pivot.data()[c] += row[c] / static_cast<float>(samples);
  }
  const Repeated repeated(shape, {pivot.data()});
  sum_in_parts(shape, repeated.period(), mean, variance,
               [&](auto begin, auto size, float* sum, float* square) {
                 simd::simd().norm.moments(x + begin, size, repeated.period(), repeated[0], sum, square);
               });
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const double offset = mean[c] / static_cast<double>(shape.rows);
    const double spread = variance[c] / static_cast<double>(shape.rows) - offset * offset;
    mean[c] = static_cast<double>(pivot.data()[c]) + offset;
    variance[c] = spread < 0 ? 0 : spread;  // NaN stays
  }
}

void norm_apply(const NormShape& shape, const NormFactors& factors, const float* x, float* y) {
  const Repeated repeated(shape, {factors.mean, factors.scale, factors.beta});
  const auto apply = simd::simd().norm.apply[static_cast<int>(factors.activation)];
  for_each_range(shape, repeated.period(), [&](std::int64_t begin, std::int64_t end) {
    apply(x + begin, y + begin, end - begin, repeated.period(), repeated[0], repeated[1], repeated[2]);
  });
}

void norm_backward_sums(const NormShape& shape, const NormFactors& factors, const float* x, const float* dy,
                        double* sum, double* product) {
  const Repeated repeated(shape, {factors.mean, factors.scale, factors.beta});
  const auto sums = simd::simd().norm.backward_sums[static_cast<int>(factors.activation)];
  sum_in_parts(shape, repeated.period(), sum, product,
               [&](auto begin, auto size, float* first, float* second) {
                 sums(x + begin, dy + begin, size, repeated.period(), repeated[0], repeated[1], repeated[2],
                      first, second);
               });
}

void norm_backward_apply(const NormShape& shape, const NormFactors& factors, const float* x, const float* dy,
                         const float* slope, const float* offset, float* dx) {
  const Repeated repeated(shape, {factors.mean, factors.scale, factors.beta, slope, offset});
  const auto apply = simd::simd().norm.backward_apply[static_cast<int>(factors.activation)];
  for_each_range(shape, repeated.period(), [&](std::int64_t begin, std::int64_t end) {
    apply(x + begin, dy + begin, dx + begin, end - begin, repeated.period(), repeated[0], repeated[1],
          repeated[2], repeated[3], repeated[4]);
  });
}

}  // namespace lathe::kernels
