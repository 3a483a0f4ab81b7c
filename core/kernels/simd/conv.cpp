#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

constexpr bool kManyRegisters = kRegisters == 32;

/// Output pixels and reduction rows that are computed together: as many sums as the registers hold.
template <int V>
constexpr int kPixels = kManyRegisters ? (V == 1 ? 14 : 13) : (V == 1 ? 12 : 6);
template <int V>
constexpr int kRun = kManyRegisters ? 12 : (V == 1 ? 12 : 6);

LATHE_INLINE Vec apply(Clamp clamp, Vec a) {
  if (clamp == Clamp::none) return a;
  a = max(zero(), a);
  return clamp == Clamp::relu6 ? min(broadcast(6), a) : a;
}

template <int V>
LATHE_INLINE void load_row(const float* p, Lanes last, Vec (&out)[V]) {
  LATHE_UNROLL
  for (int v = 0; v < V - 1; ++v) out[v] = load(p + v * kWidth);
  out[V - 1] = load(p + (V - 1) * kWidth, last);
}

template <int V>
LATHE_INLINE void store_row(float* p, Lanes last, const Vec (&in)[V]) {
  LATHE_UNROLL
  for (int v = 0; v < V - 1; ++v) store(p + v * kWidth, in[v]);
  store(p + (V - 1) * kWidth, in[V - 1], last);
}

/// What a tile of the forward product needs besides its place.
struct Product {
  std::int64_t x_row, x_pixel, kh, run, b_row, y_pixel;
  Clamp clamp;
  Lanes last;
};

/// P pixels times V vectors of columns: for each window row, for each value in it, V * P multiply-adds.
template <int V, int P>
void forward_tile(const Product& t, const float* x, const float* b, const float* bias, float* y) {
  Vec sums[P][V];
  if (bias != nullptr) {
    load_row<V>(bias, t.last, sums[0]);
  } else {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) sums[0][v] = zero();
  }
  LATHE_UNROLL
  for (int p = 1; p < P; ++p) {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) sums[p][v] = sums[0][v];
  }
  // Every third pixel has its own pointer, the two after it are reached with an index: few enough for the
  // registers.
  constexpr int kBases = (P + 2) / 3;
  const std::int64_t step = t.x_pixel, third = 3 * step;
  for (std::int64_t a = 0; a < t.kh; ++a) {
    const float* base[kBases];
    LATHE_UNROLL
    for (int i = 0; i < kBases; ++i) base[i] = x + i * third;
    const float* const end = x + t.run;
    while (base[0] != end) {
      Vec column[V];
      load_row<V>(b, t.last, column);
      b += t.b_row;
      LATHE_UNROLL
      for (int p = 0; p < P; ++p) {
        const Vec value = broadcast(base[p / 3][(p % 3) * step]);
        LATHE_UNROLL
        for (int v = 0; v < V; ++v) sums[p][v] = fma(value, column[v], sums[p][v]);
      }
      LATHE_UNROLL
      for (int i = 0; i < kBases; ++i) ++base[i];
    }
    x += t.x_row;
  }
  LATHE_UNROLL
  for (int p = 0; p < P; ++p) {
    LATHE_UNROLL
    for (int v = 0; v < V; ++v) sums[p][v] = apply(t.clamp, sums[p][v]);
    store_row<V>(y + p * t.y_pixel, t.last, sums[p]);
  }
}

using ForwardTile = void (*)(const Product&, const float*, const float*, const float*, float*);

/// table[p] computes p + 1 pixels, p < N.
template <int V, int N = kPixels<V>, int... P>
struct ForwardTiles : ForwardTiles<V, N - 1, N, P...> {};
template <int V, int... P>
struct ForwardTiles<V, 0, P...> {
  static constexpr ForwardTile table[] = {forward_tile<V, P>...};
};

template <int V>
void forward_group(const Windows& w, const Columns& c, Lanes last, const float* b, const float* bias,
                   Clamp clamp, float* y, std::int64_t y_row) {
  constexpr int kMax = kPixels<V>;
  Product t{w.x_row, w.x_pixel, w.kh, w.run, c.b_row, c.pixel, clamp, last};
  // The row in tiles of nearly the same size.
  const std::int64_t tiles = (w.out_w + kMax - 1) / kMax;
  const std::int64_t small = w.out_w / tiles, larger = w.out_w % tiles;
  for (std::int64_t i = 0; i < w.out_h; ++i) {
    const std::int64_t row = i * w.stride_h;
    const std::int64_t from = row < w.first_row ? w.first_row - row : 0;
    const std::int64_t to = row + w.kh > w.last_row ? w.last_row - row : w.kh;
    t.kh = to > from ? to - from : 0;
    const float* x = w.x + i * w.x_step + from * w.x_row;
    const float* rows = b + from * w.run * c.b_row;
    float* out = y + i * y_row;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t pixels = small + (tile < larger ? 1 : 0);
      ForwardTiles<V>::table[pixels - 1](t, x, rows, bias, out);
      x += pixels * w.x_pixel;
      out += pixels * c.pixel;
    }
  }
}

void forward(const Windows& windows, const Columns& c, const float* b, const float* bias, Clamp clamp,
             float* y, std::int64_t y_row) {
  for (std::int64_t o = 0; o < c.o; o += 2 * kWidth) {
    const std::int64_t left = c.o - o;
    const float* group_bias = bias != nullptr ? bias + o : nullptr;
    if (left > kWidth)
      forward_group<2>(windows, c, first_lanes(left - kWidth), b, group_bias, clamp, y + o, y_row);
    else
      forward_group<1>(windows, c, first_lanes(left), b, group_bias, clamp, y + o, y_row);
    b += c.group_step;
  }
}

/// Sums over all pixels of x[window row a, value k] * dy[column] for ROWS window rows of RUN values: ROWS *
/// RUN * V sums.
template <int V, int ROWS, int RUN>
void weights_tile(const Windows& w, const Columns& c, Lanes last, const float* x, std::int64_t out_h,
                  const float* dy, std::int64_t dy_row, float* db, bool overwrite) {
  Vec sums[ROWS][RUN][V];
  LATHE_UNROLL
  for (int a = 0; a < ROWS; ++a) {
    LATHE_UNROLL
    for (int k = 0; k < RUN; ++k) {
      if (overwrite) {
        LATHE_UNROLL
        for (int v = 0; v < V; ++v) sums[a][k][v] = zero();
      } else {
        load_row<V>(db + (a * w.run + k) * c.b_row, last, sums[a][k]);
      }
    }
  }
  for (std::int64_t i = 0; i < out_h; ++i) {
    const float* row[ROWS];
    LATHE_UNROLL
    for (int a = 0; a < ROWS; ++a) row[a] = x + a * w.x_row;
    const float* grad = dy;
    for (std::int64_t j = 0; j < w.out_w; ++j) {
      Vec column[V];
      load_row<V>(grad, last, column);
      LATHE_UNROLL
      for (int a = 0; a < ROWS; ++a) {
        LATHE_UNROLL
        for (int k = 0; k < RUN; ++k) {
          const Vec value = broadcast(row[a][k]);
          LATHE_UNROLL
          for (int v = 0; v < V; ++v) sums[a][k][v] = fma(value, column[v], sums[a][k][v]);
        }
        row[a] += w.x_pixel;
      }
      grad += c.pixel;
    }
    x += w.x_step;
    dy += dy_row;
  }
  LATHE_UNROLL
  for (int a = 0; a < ROWS; ++a) {
    LATHE_UNROLL
    for (int k = 0; k < RUN; ++k) store_row<V>(db + (a * w.run + k) * c.b_row, last, sums[a][k]);
  }
}

using WeightsTile = void (*)(const Windows&, const Columns&, Lanes, const float*, std::int64_t, const float*,
                             std::int64_t, float*, bool);

/// table[k] computes k + 1 values of one window row, k < N.
template <int V, int N = kRun<V>, int... K>
struct WeightsTiles : WeightsTiles<V, N - 1, N, K...> {};
template <int V, int... K>
struct WeightsTiles<V, 0, K...> {
  static constexpr WeightsTile table[] = {weights_tile<V, 1, K>...};
};

template <int V>
void weights_group(const Windows& w, const Columns& c, Lanes last, const float* dy, std::int64_t dy_row,
                   float* db, bool overwrite) {
  // One input channel: a single row of the window would keep too few sums running to hide the latency of an
  // addition.
  if (w.kh == 3 && w.run == 3 && (kManyRegisters || V == 1))
    return weights_tile<V, 3, 3>(w, c, last, w.x, w.out_h, dy, dy_row, db, overwrite);
  constexpr int kMax = kRun<V>;
  const std::int64_t tiles = (w.run + kMax - 1) / kMax;
  const std::int64_t small = w.run / tiles, larger = w.run % tiles;
  for (std::int64_t a = 0; a < w.kh; ++a) {
    // Output rows whose window row a lies on data.
    std::int64_t from = 0, to = w.out_h;
    while (from < to && from * w.stride_h + a < w.first_row) ++from;
    while (to > from && (to - 1) * w.stride_h + a >= w.last_row) --to;
    const float* x = w.x + from * w.x_step + a * w.x_row;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t count = small + (tile < larger ? 1 : 0);
      WeightsTiles<V>::table[count - 1](w, c, last, x, to - from, dy + from * dy_row, dy_row, db, overwrite);
      x += count;
      db += count * c.b_row;
    }
  }
}

void weights(const Windows& windows, const Columns& c, const float* dy, std::int64_t dy_row, float* db,
             bool overwrite) {
  for (std::int64_t o = 0; o < c.o; o += 2 * kWidth) {
    const std::int64_t left = c.o - o;
    if (left > kWidth)
      weights_group<2>(windows, c, first_lanes(left - kWidth), dy + o, dy_row, db, overwrite);
    else
      weights_group<1>(windows, c, first_lanes(left), dy + o, dy_row, db, overwrite);
    db += c.group_step;
  }
}

/// Rows of `size` floats whose channels repeat after U vectors: whole vectors whatever the number of
/// channels, U sums running.
template <int U>
void mask_periodic(Clamp clamp, std::int64_t rows, std::int64_t size, std::int64_t o, const float* y,
                   const float* dy, std::int64_t in_row, float* out, std::int64_t out_row, float* dbias) {
  Vec sums[U];
  LATHE_UNROLL
  for (int u = 0; u < U; ++u) sums[u] = zero();
  const auto step = [&](std::int64_t at, int u, float* to, Lanes lanes) __attribute__((always_inline)) {
    const Vec output = clamp != Clamp::none ? load(y + at, lanes) : zero();
    const Vec grad = passed(clamp, output, load(dy + at, lanes));
    if (to != nullptr) store(to, grad, lanes);
    sums[u] = sums[u] + grad;
  };
  const Lanes all = first_lanes(kWidth);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t in = i * in_row;
    float* const to = out != nullptr ? out + i * out_row : nullptr;
    std::int64_t k = 0;
    for (; k + U * kWidth <= size; k += U * kWidth) {
      LATHE_UNROLL
      for (int u = 0; u < U; ++u)
        step(in + k + u * kWidth, u, to != nullptr ? to + k + u * kWidth : nullptr, all);
    }
    LATHE_UNROLL
    for (int u = 0; u < U; ++u) {
      const std::int64_t rest = k + u * kWidth;
      if (rest < size) step(in + rest, u, to != nullptr ? to + rest : nullptr, first_lanes(size - rest));
    }
  }
  if (dbias == nullptr) return;
  float lanes[U * kWidth];
  LATHE_UNROLL
  for (int u = 0; u < U; ++u) store(lanes + u * kWidth, sums[u]);
  for (std::int64_t first = 0; first < U * kWidth; first += o)
    for (std::int64_t c = 0; c < o; ++c) dbias[c] += lanes[first + c];
}

/// Any number of channels, a vector of them at a time.
void mask_channels(Clamp clamp, std::int64_t rows, std::int64_t pixels, std::int64_t o, const float* y,
                   const float* dy, std::int64_t in_row, float* out, std::int64_t out_row, float* dbias) {
  for (std::int64_t c = 0; c < o; c += kWidth) {
    const Lanes lanes = first_lanes(o - c);
    Vec sum = zero();
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t in = i * in_row + c;
      float* to = out != nullptr ? out + i * out_row + c : nullptr;
      for (std::int64_t j = 0; j < pixels; ++j) {
        const Vec output = clamp != Clamp::none ? load(y + in + j * o, lanes) : zero();
        const Vec grad = passed(clamp, output, load(dy + in + j * o, lanes));
        if (to != nullptr) store(to + j * o, grad, lanes);
        sum = sum + grad;
      }
    }
    if (dbias != nullptr) store(dbias + c, load(dbias + c, lanes) + sum, lanes);
  }
}

void mask(Clamp clamp, std::int64_t rows, std::int64_t pixels, std::int64_t o, const float* y,
          const float* dy, std::int64_t in_row, float* out, std::int64_t out_row, float* dbias) {
  const std::int64_t size = pixels * o;
  if (kWidth % o == 0) return mask_periodic<1>(clamp, rows, size, o, y, dy, in_row, out, out_row, dbias);
  if (2 * kWidth % o == 0) return mask_periodic<2>(clamp, rows, size, o, y, dy, in_row, out, out_row, dbias);
  if (3 * kWidth % o == 0) return mask_periodic<3>(clamp, rows, size, o, y, dy, in_row, out, out_row, dbias);
  if (4 * kWidth % o == 0) return mask_periodic<4>(clamp, rows, size, o, y, dy, in_row, out, out_row, dbias);
  mask_channels(clamp, rows, pixels, o, y, dy, in_row, out, out_row, dbias);
}

void unpool(Clamp clamp, std::int64_t rows, std::int64_t pixels, std::int64_t o, const float* y,
            const float* dy, const std::uint8_t* argmax, float* out, std::int64_t out_row, float* dbias) {
  for (std::int64_t c = 0; c < o; c += kWidth) {
    const Lanes lanes = first_lanes(o - c);
    Vec sum = zero();
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < pixels; ++j) {
        const std::int64_t at = (i * pixels + j) * o + c;
        const Vec output = clamp != Clamp::none ? load(y + at, lanes) : zero();
        const Vec grad = passed(clamp, output, load(dy + at, lanes));
        const Vec place = load_bytes(argmax + at, lanes);
        float* const p = out + 2 * i * out_row + 2 * j * o + c;
        store(p, keep(equal(place, zero()), grad), lanes);
        store(p + o, keep(equal(place, broadcast(1)), grad), lanes);
        store(p + out_row, keep(equal(place, broadcast(2)), grad), lanes);
        store(p + out_row + o, keep(equal(place, broadcast(3)), grad), lanes);
        sum = sum + grad;
      }
    if (dbias != nullptr) store(dbias + c, load(dbias + c, lanes) + sum, lanes);
  }
}

}  // namespace

const Conv kConv = {2 * kWidth, forward, weights, mask, unpool};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
