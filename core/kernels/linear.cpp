#include "linear.h"

#include "bf16.h"
#include "onednn/linear.h"
#include "scratch.h"
#include "simd/simd.h"

#include <lathe/base/parallel.h>

#include <algorithm>
#include <limits>

namespace lathe::kernels {
namespace {

/// y = clamp(y + bias), in place.
void finish(const LinearShape& s, const float* bias, Clamp clamp, float* y) {
  const float low = clamp == Clamp::none ? -std::numeric_limits<float>::infinity() : 0;
  const float high = clamp == Clamp::relu6 ? 6 : std::numeric_limits<float>::infinity();
  parallel_for(s.n, std::max<std::int64_t>(1, 16384 / s.o), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n)
      for (std::int64_t o = 0; o < s.o; ++o) {
        float value = y[n * s.o + o] + (bias != nullptr ? bias[o] : 0);
        value = value < low ? low : value;  // NaN stays
        y[n * s.o + o] = value > high ? high : value;
      }
  });
}

/// Measured on AVX-512: while the weight stays in the second-level cache, reading it for every four samples
/// beats oneDNN's packing; the backward products gain from packing once they are large enough to pay for it.
bool is_small_forward(const LinearShape& s) { return s.i * s.o <= 65536; }
bool is_small_backward(const LinearShape& s) { return s.n * s.i * s.o < 1'000'000; }

/// dx = dy * weight, the weight [o,i] being the right matrix as it lies.
void backward_data(const LinearShape& s, const float* dy, const float* weight, float* dx) {
  const simd::Conv& kernels = simd::simd().conv;
  parallel_for(s.n, 16, [&](std::int64_t begin, std::int64_t end) {
    const simd::Windows rows{.x = dy + begin * s.o,
                             .x_row = 0,
                             .x_step = 0,
                             .x_pixel = s.o,
                             .kh = 1,
                             .run = s.o,
                             .out_h = 1,
                             .out_w = end - begin,
                             .first_row = 0,
                             .last_row = 1,
                             .stride_h = 1};
    const simd::Columns columns{.o = s.i, .pixel = s.i, .group_step = kernels.group, .b_row = s.i};
    kernels.forward(rows, columns, weight, nullptr, Clamp::none, dx + begin * s.i, 0);
  });
}

/// dweight = dy' * x, split over the columns: each thread sums over the whole batch.
void backward_weights(const LinearShape& s, const float* x, const float* dy, float* dweight) {
  const simd::Conv& kernels = simd::simd().conv;
  parallel_for(s.i, kernels.group, [&](std::int64_t begin, std::int64_t end) {
    const simd::Windows rows{.x = dy,
                             .x_row = 0,
                             .x_step = 0,
                             .x_pixel = s.o,
                             .kh = 1,
                             .run = s.o,
                             .out_h = 1,
                             .out_w = s.n,
                             .first_row = 0,
                             .last_row = 1,
                             .stride_h = 1};
    const simd::Columns columns{.o = end - begin, .pixel = s.i, .group_step = kernels.group, .b_row = s.i};
    kernels.weights(rows, columns, x + begin, 0, dweight + begin, true);
  });
}

}  // namespace

void linear_forward(Precision precision, const LinearShape& s, const float* x, const float* weight,
                    const float* bias, Clamp clamp, float* y) {
  if (precision == Precision::bf16 && bf16::takes(s)) {
    bf16::linear_forward(s, x, weight, y);
    return finish(s, bias, clamp, y);
  }
  if (!is_small_forward(s)) {
    onednn::linear_forward(s, x, weight, y);
    return finish(s, bias, clamp, y);
  }
  parallel_for(s.n, 4, [&](std::int64_t begin, std::int64_t end) {
    simd::simd().linear.forward({.n = end - begin, .i = s.i, .o = s.o}, x + begin * s.i, weight, bias, clamp,
                                y + begin * s.o);
  });
}

void linear_backward(Precision precision, const LinearShape& s, Clamp clamp, const LinearGradients& g) {
  if (precision == Precision::bf16 && bf16::takes(s)) return bf16::linear_backward(s, clamp, g);
  const Scratch masked(clamp != Clamp::none ? s.n * s.o : 0);
  const float* dy = clamp != Clamp::none ? masked.data() : g.dy;
  if (g.dbias != nullptr) std::fill_n(g.dbias, s.o, 0.0f);
  if (clamp != Clamp::none || g.dbias != nullptr)
    simd::simd().conv.mask(clamp, 1, s.n, s.o, g.y, g.dy, 0, masked.data(), 0, g.dbias);
  const bool small = is_small_backward(s);
  if (g.dx != nullptr) (small ? backward_data : onednn::linear_backward_data<float>)(s, dy, g.weight, g.dx);
  if (g.dweight != nullptr)
    (small ? backward_weights : onednn::linear_backward_weights<float>)(s, g.x, dy, g.dweight);
}

}  // namespace lathe::kernels
