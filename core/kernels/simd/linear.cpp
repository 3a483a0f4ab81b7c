#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// Rows of x and of weight whose products are summed together.
constexpr int kSamples = kRegisters == 32 ? 4 : 2;
constexpr int kOutputs = 5;

LATHE_INLINE float apply(Clamp clamp, float a) {
  if (clamp == Clamp::none) return a;
  if (a < 0) a = 0;
  return clamp == Clamp::relu6 && a > 6 ? 6 : a;
}

/// S samples by O outputs; the sums of a vector's lanes are added up at the end.
template <int S, int O>
void tile(const LinearShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
          float* y) {
  Vec sums[S][O];
  LATHE_UNROLL
  for (int n = 0; n < S; ++n) {
    LATHE_UNROLL
    for (int o = 0; o < O; ++o) sums[n][o] = zero();
  }
  const auto step = [&](std::int64_t i, Lanes lanes) __attribute__((always_inline)) {
    Vec values[S];
    LATHE_UNROLL
    for (int n = 0; n < S; ++n) values[n] = load(x + n * s.i + i, lanes);
    LATHE_UNROLL
    for (int o = 0; o < O; ++o) {
      const Vec w = load(weight + o * s.i + i, lanes);
      LATHE_UNROLL
      for (int n = 0; n < S; ++n) sums[n][o] = fma(values[n], w, sums[n][o]);
    }
  };
  std::int64_t i = 0;
  for (const Lanes all = first_lanes(kWidth); i + kWidth <= s.i; i += kWidth) step(i, all);
  if (i < s.i) step(i, first_lanes(s.i - i));
  LATHE_UNROLL
  for (int n = 0; n < S; ++n) {
    LATHE_UNROLL
    for (int o = 0; o < O; ++o)
      y[n * s.o + o] = apply(clamp, sum(sums[n][o]) + (bias != nullptr ? bias[o] : 0.0f));
  }
}

template <int S>
void samples(const LinearShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
             float* y) {
  std::int64_t o = 0;
  for (; o + kOutputs <= s.o; o += kOutputs)
    tile<S, kOutputs>(s, x, weight + o * s.i, bias != nullptr ? bias + o : nullptr, clamp, y + o);
  for (; o < s.o; ++o) tile<S, 1>(s, x, weight + o * s.i, bias != nullptr ? bias + o : nullptr, clamp, y + o);
}

void forward(const LinearShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
             float* y) {
  std::int64_t n = 0;
  for (; n + kSamples <= s.n; n += kSamples)
    samples<kSamples>(s, x + n * s.i, weight, bias, clamp, y + n * s.o);
  for (; n < s.n; ++n) samples<1>(s, x + n * s.i, weight, bias, clamp, y + n * s.o);
}

}  // namespace

const Linear kLinear = {forward};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
