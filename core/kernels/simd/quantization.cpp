#include "simd.h"

/// Compiled without contraction: x * inverse is rounded to float before anything is added to it, as where
/// integers are made.
namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

#define LATHE_INLINE inline __attribute__((always_inline))

LATHE_INLINE float whole_part(float v) { return static_cast<float>(static_cast<std::int32_t>(v)); }

/// Nearest whole number, halves away from zero; |v| < 2^31.
LATHE_INLINE float rounded(float v) {
  const float whole = whole_part(v), rest = v - whole;  // exact
  return whole + (rest >= 0.5f ? 1.0f : 0.0f) - (rest <= -0.5f ? 1.0f : 0.0f);
}

/// The same, where an average of whole numbers counts as a half although it was computed in float.
LATHE_INLINE float rounded_average(float v) {
  constexpr float kAlmostHalf = 0.5f - 1.0f / 1024;
  const float whole = whole_part(v), rest = v - whole;
  return whole + (rest >= kAlmostHalf ? 1.0f : 0.0f) - (rest <= -kAlmostHalf ? 1.0f : 0.0f);
}

template <bool kAverage>
LATHE_INLINE float quantized(float x, const Steps& s) {
  float v = x * s.inverse;
  v = v > s.low ? v : s.low;
  v = v < s.high ? v : s.high;
  const float steps = kAverage ? rounded_average(v + s.zero_point) - s.zero_point : rounded(v);
  return x != x ? x : s.scale * steps;
}

LATHE_INLINE std::uint8_t within(float x, const Steps& s) {
  const float v = x * s.inverse;
  return v >= s.low && v <= s.high ? 1 : 0;
}

constexpr int kLanes = 64;

/// kLanes elements. Each pass is one the compiler can vectorise by itself.
template <bool kAverage>
LATHE_INLINE void tile(const float* __restrict x, const Steps& s, float* __restrict y) {
  for (int l = 0; l < kLanes; ++l) y[l] = quantized<kAverage>(x[l], s);
}
LATHE_INLINE void tile_inside(const float* __restrict x, const Steps& s, std::uint8_t* __restrict inside) {
  for (int l = 0; l < kLanes; ++l) inside[l] = within(x[l], s);
}
LATHE_INLINE void tile_extremes(const float* __restrict x, float* __restrict low, float* __restrict high) {
  constexpr int kColumns = 16;
  for (int l = 0; l < kLanes; l += kColumns) {
    for (int c = 0; c < kColumns; ++c) low[c] = x[l + c] < low[c] ? x[l + c] : low[c];
    for (int c = 0; c < kColumns; ++c) high[c] = x[l + c] > high[c] ? x[l + c] : high[c];
  }
}

template <bool kAverage>
void fake_quantize(const float* x, const Steps& steps, float* y, std::uint8_t* inside, float* extremes,
                   Index n) {
  const Steps s = steps;
  float low[16] = {}, high[16] = {};
  if (extremes != nullptr)
    for (int c = 0; c < 16; ++c) low[c] = extremes[0], high[c] = extremes[1];
  Index i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    tile<kAverage>(x + i, s, y + i);
    if (inside != nullptr) tile_inside(x + i, s, inside + i);
    if (extremes != nullptr) tile_extremes(x + i, low, high);
  }
  for (; i < n; ++i) {
    y[i] = quantized<kAverage>(x[i], s);
    if (inside != nullptr) inside[i] = within(x[i], s);
    low[0] = x[i] < low[0] ? x[i] : low[0];
    high[0] = x[i] > high[0] ? x[i] : high[0];
  }
  if (extremes == nullptr) return;
  for (int c = 0; c < 16; ++c) {
    extremes[0] = low[c] < extremes[0] ? low[c] : extremes[0];
    extremes[1] = high[c] > extremes[1] ? high[c] : extremes[1];
  }
}

void fake_quantize_rescaled(const float* __restrict x, const Steps& steps, const float* __restrict slack,
                            float* __restrict y, Index n) {
  const Steps s = steps;
  for (Index i = 0; i < n; ++i) {
    float v = x[i] * s.inverse;
    v = v > s.low ? v : s.low;
    v = v < s.high ? v : s.high;
    const float half = 0.5f - slack[i], whole = whole_part(v), rest = v - whole;
    const float nearest = whole + (rest >= half ? 1.0f : 0.0f) - (rest <= -half ? 1.0f : 0.0f);
    y[i] = x[i] != x[i] ? x[i] : s.scale * nearest;
  }
}

void backward(const float* dy, const std::uint8_t* __restrict inside, float* dx, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) dx[i] = inside[i] != 0 ? dy[i] : 0.0f;
}

}  // namespace

const Quantization kQuantization{.fake_quantize = fake_quantize<false>,
                                 .fake_quantize_average = fake_quantize<true>,
                                 .fake_quantize_rescaled = fake_quantize_rescaled,
                                 .backward = backward};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
