#include "linear.h"

#include "scratch.h"
#include "simd/simd.h"

#include <lathe/base/parallel.h>

#include <algorithm>

namespace lathe::kernels {

void linear_forward(const LinearShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                    float* y) {
  const simd::Linear& kernels = simd::simd().linear;
  parallel_for(s.n, 4, [&](std::int64_t begin, std::int64_t end) {
    kernels.forward({.n = end - begin, .i = s.i, .o = s.o}, x + begin * s.i, weight, bias, clamp,
                    y + begin * s.o);
  });
}

void linear_backward(const LinearShape& s, Clamp clamp, const LinearGradients& g) {
  const simd::Conv& kernels = simd::simd().conv;
  const Scratch masked(clamp != Clamp::none ? s.n * s.o : 0);
  const float* dy = clamp != Clamp::none ? masked.data() : g.dy;
  if (g.dbias != nullptr) std::fill_n(g.dbias, s.o, 0.0f);
  if (clamp != Clamp::none || g.dbias != nullptr)
    kernels.mask(clamp, 1, s.n, s.o, g.y, g.dy, 0, masked.data(), 0, g.dbias);

  /// Rows of dy as windows of one row.
  const auto rows = [&](std::int64_t first, std::int64_t count) {
    return simd::Windows{.x = dy + first * s.o,
                         .x_row = 0,
                         .x_step = 0,
                         .x_pixel = s.o,
                         .kh = 1,
                         .run = s.o,
                         .out_h = 1,
                         .out_w = count,
                         .first_row = 0,
                         .last_row = 1,
                         .stride_h = 1};
  };
  // dx = dy * weight; the weight [o,i] is the right matrix as it lies.
  if (g.dx != nullptr)
    parallel_for(s.n, 1, [&](std::int64_t begin, std::int64_t end) {
      const simd::Columns columns{.o = s.i, .pixel = s.i, .group_step = kernels.group, .b_row = s.i};
      kernels.forward(rows(begin, end - begin), columns, g.weight, nullptr, Clamp::none, g.dx + begin * s.i,
                      0);
    });
  // dweight = dy' * x, split over the columns: each thread sums over the whole batch.
  if (g.dweight != nullptr)
    parallel_for(s.i, kernels.group, [&](std::int64_t begin, std::int64_t end) {
      const simd::Columns columns{.o = end - begin, .pixel = s.i, .group_step = kernels.group, .b_row = s.i};
      kernels.weights(rows(0, s.n), columns, g.x + begin, 0, g.dweight + begin, true);
    });
}

}  // namespace lathe::kernels
