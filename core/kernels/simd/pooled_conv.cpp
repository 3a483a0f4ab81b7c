#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// Window rows and vectors of a row that are held in registers.
constexpr int kTileRows = kRegisters == 32 ? 3 : 1;
constexpr int kTileVectors = 8;

void find(Clamp clamp, std::int64_t count, std::int64_t pixels, std::int64_t pixel, std::int64_t row,
          const float* y, const float* dy, const std::uint8_t* argmax, const Maxima& m, float* dbias) {
  const std::int32_t place[] = {0, static_cast<std::int32_t>(pixel), static_cast<std::int32_t>(row),
                                static_cast<std::int32_t>(row + pixel)};
  for (std::int64_t c = 0; c < m.o; c += kWidth) {
    const int channels = static_cast<int>(m.o - c < kWidth ? m.o - c : kWidth);
    const Lanes lanes = first_lanes(channels);
    Vec sum = zero();
    std::int64_t next[kWidth];  // place in the list
    for (int k = 0; k < channels; ++k) next[k] = (c + k) * m.most;
    std::int64_t in_row = 0, first = 0;
    for (std::int64_t window = 0; window < count; ++window) {
      const std::int64_t from = window * m.o + c;
      const Vec output = clamp != Clamp::none ? load(y + from, lanes) : zero();
      const Vec passing = passed(clamp, output, load(dy + from, lanes));
      sum = sum + passing;
      float grad[kWidth];
      store(grad, passing);
      for (int k = 0; k < channels; ++k) {  // without a branch: each is written, and kept unless it is 0
        m.grad[next[k]] = grad[k];
        m.at[next[k]] = static_cast<std::int32_t>(first) + place[argmax[from + k]];
        std::int32_t bits;
        __builtin_memcpy(&bits, grad + k, sizeof bits);
        next[k] += (bits & 0x7fffffff) != 0;
      }
      first += 2 * pixel;
      if (++in_row == pixels) {
        first += 2 * (row - pixels * pixel);
        in_row = 0;
      }
    }
    for (int k = 0; k < channels; ++k) m.found[c + k] = static_cast<std::int32_t>(next[k] - (c + k) * m.most);
    if (dbias != nullptr) store(dbias + c, load(dbias + c, lanes) + sum, lanes);
  }
}

/// R rows of V vectors of one channel's dweight.
template <int R, int V>
void weights_tile(const Maxima& m, const WindowRows& w, std::int64_t channel, const float* x,
                  float* dweight) {
  Vec sums[R][V];
  LATHE_UNROLL
  for (int a = 0; a < R; ++a) {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) sums[a][v] = load(dweight + a * w.run + v * kWidth);
  }
  const float* const grads = m.grad + channel * m.most;
  const std::int32_t* const at = m.at + channel * m.most;
  for (std::int64_t i = 0; i < m.found[channel]; ++i) {
    const Vec grad = broadcast(grads[i]);
    const float* row = x + at[i];
    LATHE_UNROLL
    for (int a = 0; a < R; ++a, row += w.x_row) {
      LATHE_UNROLL
      for (int v = 0; v < V; ++v) sums[a][v] = fma(grad, load(row + v * kWidth), sums[a][v]);
    }
  }
  LATHE_UNROLL
  for (int a = 0; a < R; ++a) {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) store(dweight + a * w.run + v * kWidth, sums[a][v]);
  }
}

/// What R rows of V vectors of one channel's weight add to dx.
template <int R, int V>
void data_tile(const Maxima& m, const WindowRows& w, std::int64_t channel, const float* weight, float* dx) {
  Vec factors[R][V];
  LATHE_UNROLL
  for (int a = 0; a < R; ++a) {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) factors[a][v] = load(weight + a * w.run + v * kWidth);
  }
  const float* const grads = m.grad + channel * m.most;
  const std::int32_t* const at = m.at + channel * m.most;
  for (std::int64_t i = 0; i < m.found[channel]; ++i) {
    const Vec grad = broadcast(grads[i]);
    float* row = dx + at[i];
    LATHE_UNROLL
    for (int a = 0; a < R; ++a, row += w.x_row) {
      LATHE_UNROLL
      for (int v = 0; v < V; ++v) store(row + v * kWidth, fma(grad, factors[a][v], load(row + v * kWidth)));
    }
  }
}

/// of[v] has v + 1 vectors, v < N.
template <int R, int N, int... V>
struct Tiles : Tiles<R, N - 1, N, V...> {};
template <int R, int... V>
struct Tiles<R, 0, V...> {
  static constexpr void (*weights[])(const Maxima&, const WindowRows&, std::int64_t, const float*,
                                     float*) = {weights_tile<R, V>...};
  static constexpr void (*data[])(const Maxima&, const WindowRows&, std::int64_t, const float*,
                                  float*) = {data_tile<R, V>...};
};

/// Calls tile(kernels of the rows, vectors, first float within the weight, and in the image) for all tiles of
/// a channel's weight.
template <class F>
LATHE_INLINE void for_each_tile(const WindowRows& w, F&& tile) {
  constexpr std::int64_t kFloats = kTileVectors * kWidth;
  for (std::int64_t from = 0; from < w.run; from += kFloats) {
    const std::int64_t left = w.run - from < kFloats ? w.run - from : kFloats;
    const int last = static_cast<int>(left / kWidth) - 1;
    std::int64_t a = 0;
    for (; a + kTileRows <= w.kh; a += kTileRows)
      tile(Tiles<kTileRows, kTileVectors>(), last, a * w.run + from, a * w.x_row + from);
    for (; a < w.kh; ++a) tile(Tiles<1, kTileVectors>(), last, a * w.run + from, a * w.x_row + from);
  }
}

void weights(const Maxima& m, const WindowRows& w, const float* x, float* dweight) {
  for (std::int64_t channel = 0; channel < m.o; ++channel, dweight += w.kh * w.run)
    for_each_tile(w, [&](auto tiles, int last, std::int64_t in_weight, std::int64_t in_image) {
      tiles.weights[last](m, w, channel, x + in_image, dweight + in_weight);
    });
}

void data(const Maxima& m, const WindowRows& w, const float* weight, float* dx) {
  for (std::int64_t channel = 0; channel < m.o; ++channel, weight += w.kh * w.run)
    for_each_tile(w, [&](auto tiles, int last, std::int64_t in_weight, std::int64_t in_image) {
      tiles.data[last](m, w, channel, weight + in_weight, dx + in_image);
    });
}

}  // namespace

const PooledConv kPooledConv = {kWidth, find, weights, data};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
