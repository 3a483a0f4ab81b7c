#include "gated_norm.h"

#include "scratch.h"
#include "simd/simd.h"

#include <lathe/base/parallel.h>

#include <algorithm>

namespace lathe::kernels {
namespace {

/// Rows of an image that are summed in single precision: few enough to lose nothing, many enough that the
/// sums cost little.
constexpr std::int64_t kRows = 128;

/// Calls f(image, first row, rows) on parts of images.
template <typename F>
void for_each_part(const GatedNormShape& s, F&& f) {
  const std::int64_t parts = (s.area + kRows - 1) / kRows;
  parallel_for(s.images * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t row = p % parts * kRows;
      f(p / parts, row, std::min(kRows, s.area - row));
    }
  });
}

/// Calls f(image, first row, rows, sums), which adds to the three sums of a part; then adds up the parts of
/// each image.
template <typename F>
void sum_in_parts(const GatedNormShape& s, const GatedNormSums& sums, F&& f) {
  const std::int64_t parts = (s.area + kRows - 1) / kRows, size = 3 * s.channels;
  const Scratch scratch(s.images * parts * size);
  for_each_part(s, [&](std::int64_t image, std::int64_t row, std::int64_t rows) {
    float* const part = scratch.data() + (image * parts + row / kRows) * size;
    std::fill_n(part, size, 0.0f);
    f(image, row, rows, GatedNormSums{part, part + s.channels, part + 2 * s.channels});
  });
  float* const out[] = {sums.y, sums.slope, sums.product};
  parallel_for(s.images, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t image = begin; image < end; ++image)
      for (std::int64_t k = 0; k < 3; ++k) {
        float* const to = out[k] + image * s.channels;
        const float* from = scratch.data() + image * parts * size + k * s.channels;
        std::copy_n(from, s.channels, to);
        for (std::int64_t part = 1; part < parts; ++part)
          for (std::int64_t c = 0; c < s.channels; ++c) to[c] += from[part * size + c];
      }
  });
}

}  // namespace

void gated_norm_sums(const GatedNormShape& s, const simd::GatedNormFactors& factors, const float* x,
                     const GatedNormSums& sums) {
  sum_in_parts(s, sums,
               [&](std::int64_t image, std::int64_t row, std::int64_t rows, const GatedNormSums& part) {
                 simd::simd().gated_norm.sums(factors, x + image * s.image() + row * s.channels, rows,
                                              s.channels, part.y, part.slope, part.product);
               });
}

void gated_norm_apply(const GatedNormShape& s, const simd::GatedNormFactors& factors, const float* x,
                      const float* gate, float* z) {
  for_each_part(s, [&](std::int64_t image, std::int64_t row, std::int64_t rows) {
    const std::int64_t at = image * s.image() + row * s.channels;
    simd::simd().gated_norm.apply(factors, x + at, gate + image * s.channels, rows, s.channels, z + at);
  });
}

void gated_norm_backward_sums(const GatedNormShape& s, const simd::GatedNormFactors& factors, const float* x,
                              const float* dz, const GatedNormSums& sums) {
  sum_in_parts(s, sums,
               [&](std::int64_t image, std::int64_t row, std::int64_t rows, const GatedNormSums& part) {
                 const std::int64_t at = image * s.image() + row * s.channels;
                 simd::simd().gated_norm.backward_sums(factors, x + at, dz + at, rows, s.channels, part.y,
                                                       part.slope, part.product);
               });
}

void gated_norm_backward_apply(const GatedNormShape& s, const simd::GatedNormFactors& factors, const float* x,
                               const float* dz, const float* gate, const float* rest, const float* along,
                               const float* offset, float* dx) {
  for_each_part(s, [&](std::int64_t image, std::int64_t row, std::int64_t rows) {
    const std::int64_t at = image * s.image() + row * s.channels;
    simd::simd().gated_norm.backward_apply(factors, x + at, dz + at, gate + image * s.channels,
                                           rest + image * s.channels, along, offset, rows, s.channels,
                                           dx + at);
  });
}

}  // namespace lathe::kernels
