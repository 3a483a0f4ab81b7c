#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// The largest window that is unrolled; larger ones run in loops.
constexpr std::int64_t kMaxUnrolled = 5;

/// Output columns [inner_begin, inner_end) see no column outside the image.
struct Inner {
  std::int64_t begin, end;
};

Inner inner_columns(const ConvShape& s) {
  std::int64_t begin = 0, end = s.out_w;
  while (begin < end && begin * s.stride_w < s.left) ++begin;
  while (end > begin && (end - 1) * s.stride_w - s.left + s.kw > s.w) --end;
  return {begin, end};
}

/// Pointers to the rows that output row i sees, those outside the image to zeros.
LATHE_INLINE void window_rows(const ConvShape& s, const float* x, const float* zeros, std::int64_t i,
                              std::int64_t count, const float** rows) {
  for (std::int64_t a = 0; a < count; ++a) {
    const std::int64_t row = i * s.stride_h - s.top + a;
    rows[a] = row >= 0 && row < s.h ? x + row * s.w * s.c : zeros;
  }
}

LATHE_INLINE Vec apply(Clamp clamp, Vec a) {
  if (clamp == Clamp::none) return a;
  a = max(zero(), a);
  return clamp == Clamp::relu6 ? min(broadcast(6), a) : a;
}

/// One output row of up to kWidth channels with a KxK window, weights in registers as far as they go.
template <int K>
LATHE_INLINE void forward_row(const ConvShape& s, Inner inner, Lanes lanes, const float* const (&rows)[K],
                              const float* weight, Vec bias, Clamp clamp, float* y) {
  Vec w[K][K];
  LATHE_UNROLL
  for (int a = 0; a < K; ++a) {
    LATHE_UNROLL
    for (int b = 0; b < K; ++b) w[a][b] = load(weight + (a * K + b) * s.c, lanes);
  }
  const auto border = [&](std::int64_t from, std::int64_t to) __attribute__((always_inline)) {
    for (std::int64_t j = from; j < to; ++j) {
      const std::int64_t column = j * s.stride_w - s.left;
      Vec sum = bias;
      LATHE_UNROLL
      for (int b = 0; b < K; ++b) {
        if (column + b < 0 || column + b >= s.w) continue;
        LATHE_UNROLL
        for (int a = 0; a < K; ++a) sum = fma(load(rows[a] + (column + b) * s.c, lanes), w[a][b], sum);
      }
      store(y + j * s.c, apply(clamp, sum), lanes);
    }
  };
  border(0, inner.begin);
  for (std::int64_t j = inner.begin; j < inner.end; ++j) {
    const std::int64_t offset = (j * s.stride_w - s.left) * s.c;
    // A sum for each window row: shorter chains of dependent additions.
    Vec sums[K];
    LATHE_UNROLL
    for (int a = 0; a < K; ++a) {
      const float* p = rows[a] + offset;
      sums[a] = a == 0 ? fma(load(p, lanes), w[a][0], bias) : load(p, lanes) * w[a][0];
      LATHE_UNROLL
      for (int b = 1; b < K; ++b) sums[a] = fma(load(p + b * s.c, lanes), w[a][b], sums[a]);
    }
    LATHE_UNROLL
    for (int a = 1; a < K; ++a) sums[0] = sums[0] + sums[a];
    store(y + j * s.c, apply(clamp, sums[0]), lanes);
  }
  border(inner.end, s.out_w);
}

template <int K>
void forward_unrolled(const ConvShape& s, const float* x, const float* weight, const float* bias,
                      const float* zeros, Clamp clamp, float* y) {
  const Inner inner = inner_columns(s);
  for (std::int64_t i = 0; i < s.out_h; ++i) {
    const float* rows[K];
    window_rows(s, x, zeros, i, K, rows);
    float* out = y + i * s.out_w * s.c;
    for (std::int64_t c = 0; c < s.c; c += kWidth) {
      const Lanes lanes = first_lanes(s.c - c);
      forward_row<K>(s, inner, lanes, rows, weight + c, bias != nullptr ? load(bias + c, lanes) : zero(),
                     clamp, out + c);
      LATHE_UNROLL
      for (int a = 0; a < K; ++a) rows[a] += kWidth;
    }
  }
}

void forward_any(const ConvShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                 float* y) {
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j)
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        Vec sum = bias != nullptr ? load(bias + c, lanes) : zero();
        for (std::int64_t a = 0; a < s.kh; ++a)
          for (std::int64_t b = 0; b < s.kw; ++b) {
            const std::int64_t row = i * s.stride_h - s.top + a, column = j * s.stride_w - s.left + b;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            sum = fma(load(x + (row * s.w + column) * s.c + c, lanes),
                      load(weight + (a * s.kw + b) * s.c + c, lanes), sum);
          }
        store(y + (i * s.out_w + j) * s.c + c, apply(clamp, sum), lanes);
      }
}

void forward(const ConvShape& s, const float* x, const float* weight, const float* bias, const float* zeros,
             Clamp clamp, float* y) {
  if (s.kh == 3 && s.kw == 3)
    forward_unrolled<3>(s, x, weight, bias, zeros, clamp, y);
  else if (s.kh == kMaxUnrolled && s.kw == kMaxUnrolled)
    forward_unrolled<kMaxUnrolled>(s, x, weight, bias, zeros, clamp, y);
  else
    forward_any(s, x, weight, bias, clamp, y);
}

/// The taps through which the input positions 0, 1, ... are seen along one axis: window positions first,
/// first + stride,
/// ... (count of them), from output positions out, out - 1, ... Stepped, for a division costs more than a
/// pixel.
class Taps {
 public:
  LATHE_INLINE Taps(std::int64_t before, std::int64_t kernel, std::int64_t stride, std::int64_t size)
      : kernel_(kernel), stride_(stride), size_(size), out_(before / stride), phase_(before % stride) {
    find();
  }
  LATHE_INLINE void next() {
    if (++phase_ == stride_) {
      phase_ = 0;
      ++out_;
    }
    find();
  }

  std::int64_t first, count, out;

 private:
  LATHE_INLINE void find() {
    first = phase_;
    out = out_;
    while (out >= size_) {  // the outputs that would see it through the first taps do not exist
      first += stride_;
      --out;
    }
    count = 0;
    for (std::int64_t tap = first; tap < kernel_ && count <= out; tap += stride_) ++count;
  }

  std::int64_t kernel_, stride_, size_, out_, phase_;
};

/// One input pixel, through `rows` x `columns` taps; `grads` and `weight` are those of the first.
LATHE_INLINE void gather_any(const ConvShape& s, const float* grads, const float* weight, std::int64_t rows,
                             std::int64_t columns, float* dx) {
  for (std::int64_t c = 0; c < s.c; c += kWidth) {
    const Lanes lanes = first_lanes(s.c - c);
    Vec sum = zero();
    for (std::int64_t a = 0; a < rows; ++a)
      for (std::int64_t b = 0; b < columns; ++b)
        sum = fma(load(grads - (a * s.out_w + b) * s.c + c, lanes),
                  load(weight + (a * s.stride_h * s.kw + b * s.stride_w) * s.c + c, lanes), sum);
    store(dx + c, sum, lanes);
  }
}

/// The same with the numbers known.
template <int kRows, int kColumns>
LATHE_INLINE void gather(const ConvShape& s, const float* grads, const float* weight, float* dx) {
  for (std::int64_t c = 0; c < s.c; c += kWidth) {
    const Lanes lanes = first_lanes(s.c - c);
    Vec sum = zero();
    LATHE_UNROLL
    for (int a = 0; a < kRows; ++a) {
      LATHE_UNROLL
      for (int b = 0; b < kColumns; ++b)
        sum = fma(load(grads - (a * s.out_w + b) * s.c + c, lanes),
                  load(weight + (a * s.stride_h * s.kw + b * s.stride_w) * s.c + c, lanes), sum);
    }
    store(dx + c, sum, lanes);
  }
}

/// Each input pixel gathers from the outputs that saw it, for any stride.
void data(const ConvShape& s, const float* dy, const float* weight, float* dx) {
  Taps vertical(s.top, s.kh, s.stride_h, s.out_h);
  for (std::int64_t row = 0; row < s.h; ++row, vertical.next()) {
    Taps horizontal(s.left, s.kw, s.stride_w, s.out_w);
    for (std::int64_t column = 0; column < s.w; ++column, dx += s.c, horizontal.next()) {
      const float* grads = dy + (vertical.out * s.out_w + horizontal.out) * s.c;
      const float* w = weight + (vertical.first * s.kw + horizontal.first) * s.c;
      if (vertical.count == 1 && horizontal.count == 1)  // the four cases of a 3x3 window with stride 2
        gather<1, 1>(s, grads, w, dx);
      else if (vertical.count == 1 && horizontal.count == 2)
        gather<1, 2>(s, grads, w, dx);
      else if (vertical.count == 2 && horizontal.count == 1)
        gather<2, 1>(s, grads, w, dx);
      else if (vertical.count == 2 && horizontal.count == 2)
        gather<2, 2>(s, grads, w, dx);
      else
        gather_any(s, grads, w, vertical.count, horizontal.count, dx);
    }
  }
}

/// Sums of one vector of channels over output rows [from, to) for a KxK window, all K * K at once.
template <int K>
LATHE_INLINE void weights_rows(const ConvShape& s, Inner inner, Lanes lanes, std::int64_t from,
                               std::int64_t to, const float* x, const float* dy, const float* zeros,
                               float* dweight) {
  Vec sums[K][K];
  LATHE_UNROLL
  for (int a = 0; a < K; ++a) {
    LATHE_UNROLL
    for (int b = 0; b < K; ++b) sums[a][b] = load(dweight + (a * K + b) * s.c, lanes);
  }
  for (std::int64_t i = from; i < to; ++i) {
    const float* rows[K];
    window_rows(s, x, zeros, i, K, rows);
    const float* grads = dy + i * s.out_w * s.c;
    const auto border = [&](std::int64_t first, std::int64_t last) __attribute__((always_inline)) {
      for (std::int64_t j = first; j < last; ++j) {
        const std::int64_t column = j * s.stride_w - s.left;
        const Vec grad = load(grads + j * s.c, lanes);
        LATHE_UNROLL
        for (int b = 0; b < K; ++b) {
          if (column + b < 0 || column + b >= s.w) continue;
          LATHE_UNROLL
          for (int a = 0; a < K; ++a)
            sums[a][b] = fma(load(rows[a] + (column + b) * s.c, lanes), grad, sums[a][b]);
        }
      }
    };
    border(0, inner.begin);
    for (std::int64_t j = inner.begin; j < inner.end; ++j) {
      const Vec grad = load(grads + j * s.c, lanes);
      LATHE_UNROLL
      for (int a = 0; a < K; ++a) {
        const float* p = rows[a] + (j * s.stride_w - s.left) * s.c;
        LATHE_UNROLL
        for (int b = 0; b < K; ++b) sums[a][b] = fma(load(p + b * s.c, lanes), grad, sums[a][b]);
      }
    }
    border(inner.end, s.out_w);
  }
  LATHE_UNROLL
  for (int a = 0; a < K; ++a) {
    LATHE_UNROLL
    for (int b = 0; b < K; ++b) store(dweight + (a * K + b) * s.c, sums[a][b], lanes);
  }
}

/// Strips of rows, so that all channels of a row are used while it is in the first-level cache.
template <int K>
void weights_unrolled(const ConvShape& s, const float* x, const float* dy, const float* zeros,
                      float* dweight) {
  const Inner inner = inner_columns(s);
  const std::int64_t strip = s.c <= kWidth ? s.out_h : (s.out_w + 63) / s.out_w;
  for (std::int64_t i = 0; i < s.out_h; i += strip)
    for (std::int64_t c = 0; c < s.c; c += kWidth)
      weights_rows<K>(s, inner, first_lanes(s.c - c), i, i + strip < s.out_h ? i + strip : s.out_h, x + c,
                      dy + c, zeros, dweight + c);
}

void weights_any(const ConvShape& s, const float* x, const float* dy, float* dweight) {
  for (std::int64_t a = 0; a < s.kh; ++a)
    for (std::int64_t b = 0; b < s.kw; ++b)
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        float* out = dweight + (a * s.kw + b) * s.c + c;
        Vec sum = load(out, lanes);
        for (std::int64_t i = 0; i < s.out_h; ++i)
          for (std::int64_t j = 0; j < s.out_w; ++j) {
            const std::int64_t row = i * s.stride_h - s.top + a, column = j * s.stride_w - s.left + b;
            if (row < 0 || row >= s.h || column < 0 || column >= s.w) continue;
            sum = fma(load(x + (row * s.w + column) * s.c + c, lanes),
                      load(dy + (i * s.out_w + j) * s.c + c, lanes), sum);
          }
        store(out, sum, lanes);
      }
}

void weights(const ConvShape& s, const float* x, const float* dy, const float* zeros, float* dweight) {
  // A 5x5 window has 25 sums: only where the registers hold them.
  if (s.kh == 3 && s.kw == 3)
    weights_unrolled<3>(s, x, dy, zeros, dweight);
  else if (s.kh == 5 && s.kw == 5 && kRegisters == 32)
    weights_unrolled<5>(s, x, dy, zeros, dweight);
  else
    weights_any(s, x, dy, dweight);
}

}  // namespace

const Depthwise kDepthwise = {forward, data, weights};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
