#include "math.h"
#include "simd.h"
#include "vec.h"

// Loops over blocks of `period` elements: inside a block the channel arrays lie beside the elements. Sums run
// over four blocks at once, so that they are loaded and stored once for four elements.
namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

using In = const float* __restrict;
using Out = float* __restrict;

void moments(In x, Index n, Index period, In pivot, Out sum, Out square) {
  Index i = 0;
  for (; i + 4 * period <= n; i += 4 * period) {
    In x0 = x + i;
    In x1 = x0 + period;
    In x2 = x1 + period;
    In x3 = x2 + period;
    for (Index j = 0; j < period; ++j) {
      const float a = x0[j] - pivot[j], b = x1[j] - pivot[j], c = x2[j] - pivot[j], d = x3[j] - pivot[j];
      sum[j] += (a + b) + (c + d);
      square[j] += (a * a + b * b) + (c * c + d * d);
    }
  }
  for (; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
    for (Index j = 0; j < width; ++j) {
      const float a = x[i + j] - pivot[j];
      sum[j] += a;
      square[j] += a * a;
    }
  }
}

// x and y may be the same, so they are not __restrict; iterations are independent all the same.
template <int kActivation>
void apply(const float* x, float* y, Index n, Index period, In mean, In scale, In beta) {
  for (Index i = 0; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
    const float* from = x + i;
    float* to = y + i;
#pragma omp simd
    for (Index j = 0; j < width; ++j) to[j] = clamp_of<kActivation>((from[j] - mean[j]) * scale[j] + beta[j]);
  }
}

template <int kActivation>
void backward_sums(In x, In dy, Index n, Index period, In mean, In scale, In beta, Out sum, Out product) {
  // The sign of the output is computed again, as in apply(), instead of being read: one stream less.
  const auto gradient = [&](Index i, Index j, float centred) __attribute__((always_inline)) {
    return masked<kActivation>(centred * scale[j] + beta[j], dy[i + j]);
  };
  Index i = 0;
  for (; i + 4 * period <= n; i += 4 * period) {
    for (Index j = 0; j < period; ++j) {
      const float a = x[i + j] - mean[j], b = x[i + period + j] - mean[j];
      const float c = x[i + 2 * period + j] - mean[j], d = x[i + 3 * period + j] - mean[j];
      const float ga = gradient(i, j, a), gb = gradient(i + period, j, b);
      const float gc = gradient(i + 2 * period, j, c), gd = gradient(i + 3 * period, j, d);
      sum[j] += (ga + gb) + (gc + gd);
      product[j] += (ga * a + gb * b) + (gc * c + gd * d);
    }
  }
  for (; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
    for (Index j = 0; j < width; ++j) {
      const float a = x[i + j] - mean[j];
      const float ga = gradient(i, j, a);
      sum[j] += ga;
      product[j] += ga * a;
    }
  }
}

template <int kActivation>
void backward_apply(In x, const float* dy, float* dx, Index n, Index period, In mean, In scale, In beta,
                    In slope, In offset) {
  for (Index i = 0; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
#pragma omp simd
    for (Index j = 0; j < width; ++j) {
      const float centred = x[i + j] - mean[j];
      const float g = masked<kActivation>(centred * scale[j] + beta[j], dy[i + j]);
      dx[i + j] = scale[j] * g + (slope[j] * centred + offset[j]);
    }
  }
}

// silu, y = u * s with s = sigmoid(u), u = centred * scale + beta: y' = s + y * (1 - s).

LATHE_INLINE Vec slope_of_silu(Vec u) {
  const Vec s = sigmoid(u);
  return fma(u * s, broadcast(1) - s, s);
}

void silu_apply(const float* x, float* y, Index n, Index period, In mean, In scale, In beta) {
  for (Index i = 0; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
    for (Index j = 0; j < width; j += kWidth) {
      const Lanes lanes = first_lanes(width - j);
      fetch_ahead(x + i + j);
      const Vec centred = load(x + i + j, lanes) - load(mean + j, lanes);
      const Vec u = fma(centred, load(scale + j, lanes), load(beta + j, lanes));
      store(y + i + j, u * sigmoid(u), lanes);
    }
  }
}

void silu_backward_sums(In x, In dy, Index n, Index period, In mean, In scale, In beta, Out sum,
                        Out product) {
  for (Index i = 0; i < n; i += 4 * period) {
    const Index left = n - i;
    for (Index j = 0; j < period && j < left; j += kWidth) {
      const Lanes lanes = first_lanes(period - j);
      const Vec m = load(mean + j, lanes), a = load(scale + j, lanes), b = load(beta + j, lanes);
      Vec total = zero(), weighted = zero();
      const auto step = [&](Index at, Lanes inside) __attribute__((always_inline)) {
        fetch_ahead(x + i + at), fetch_ahead(dy + i + at);
        const Vec centred = load(x + i + at, inside) - m;
        const Vec g = load(dy + i + at, inside) * slope_of_silu(fma(centred, a, b));
        total = total + g;
        weighted = fma(g, centred, weighted);
      };
      if (left >= 4 * period) {
        LATHE_UNROLL
        for (int k = 0; k < 4; ++k) step(k * period + j, lanes);
      } else {
        for (Index at = j; at < left; at += period) step(at, lanes & first_lanes(left - at));
      }
      store(sum + j, load(sum + j, lanes) + total, lanes);
      store(product + j, load(product + j, lanes) + weighted, lanes);
    }
  }
}

void silu_backward_apply(In x, const float* dy, float* dx, Index n, Index period, In mean, In scale, In beta,
                         In slope, In offset) {
  for (Index i = 0; i < n; i += period) {
    const Index width = n - i < period ? n - i : period;
    for (Index j = 0; j < width; j += kWidth) {
      const Lanes lanes = first_lanes(width - j);
      fetch_ahead(x + i + j), fetch_ahead(dy + i + j);
      const Vec centred = load(x + i + j, lanes) - load(mean + j, lanes);
      const Vec factor = load(scale + j, lanes);
      const Vec g = load(dy + i + j, lanes) * slope_of_silu(fma(centred, factor, load(beta + j, lanes)));
      store(dx + i + j, fma(factor, g, fma(load(slope + j, lanes), centred, load(offset + j, lanes))), lanes);
    }
  }
}

}  // namespace

const Norm kNorm{
    .moments = moments,
    .apply = {apply<0>, apply<1>, apply<2>, silu_apply},
    .backward_sums = {backward_sums<0>, backward_sums<1>, backward_sums<2>, silu_backward_sums},
    .backward_apply = {backward_apply<0>, backward_apply<1>, backward_apply<2>, silu_backward_apply},
};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
