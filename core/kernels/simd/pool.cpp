#include "simd.h"
#include "vec.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// The part of the window of output pixel (i,j) that lies inside the image: window rows [top, bottom),
/// columns [left, right).
struct Window {
  std::int64_t row, column;
  std::int64_t top, bottom, left, right;

  LATHE_INLINE Window(const PoolShape& s, std::int64_t i, std::int64_t j)
      : row(i * s.stride_h - s.top),
        column(j * s.stride_w - s.left),
        top(row < 0 ? -row : 0),
        bottom(row + s.kh > s.h ? s.h - row : s.kh),
        left(column < 0 ? -column : 0),
        right(column + s.kw > s.w ? s.w - column : s.kw) {}
};

struct Best {
  Vec value, place;
};

/// NaN wins, the first of equals wins.
LATHE_INLINE void improve(Best& best, Vec value, float place) {
  const Lanes better = greater(value, best.value) | (unordered(value, value) & equal(best.value, best.value));
  best.value = select(better, value, best.value);
  best.place = select(better, broadcast(place), best.place);
}

/// A window in loops.
LATHE_INLINE Best best_of(const PoolShape& s, const Window& window, const float* first, Lanes lanes) {
  Best best{load(first, lanes), broadcast(static_cast<float>(window.top * s.kw + window.left))};
  for (std::int64_t a = window.top; a < window.bottom; ++a, first += s.w * s.c)
    for (std::int64_t b = window.left; b < window.right; ++b)
      improve(best, load(first + (b - window.left) * s.c, lanes), static_cast<float>(a * s.kw + b));
  return best;
}

/// A 2x2 window inside the image as two pairs and their winners. False when there is a NaN in it.
LATHE_INLINE bool best_of_four(const PoolShape& s, const float* p, Lanes lanes, Best& best) {
  const Vec a = load(p, lanes), b = load(p + s.c, lanes);
  const Vec c = load(p + s.w * s.c, lanes), d = load(p + (s.w + 1) * s.c, lanes);
  if (any(unordered(a, b) | unordered(c, d))) return false;
  const Lanes right = greater(b, a), lower_right = greater(d, c);
  const Vec upper = max(b, a), lower = max(d, c);
  best.value = max(lower, upper);
  best.place = select(greater(lower, upper), select(lower_right, broadcast(3), broadcast(2)),
                      select(right, broadcast(1), zero()));
  return true;
}

/// Windows of 2x2 side by side, none of them beyond the image.
void max_forward_halves(const PoolShape& s, const float* x, float* y, std::uint8_t* argmax) {
  const Window whole(s, 0, 0);
  for (std::int64_t i = 0; i < s.out_h; ++i, x += 2 * s.w * s.c)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const float* const first = x + 2 * j * s.c;
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        Best best;
        if (!best_of_four(s, first + c, lanes, best)) best = best_of(s, whole, first + c, lanes);
        store(y + c, best.value, lanes);
        if (argmax != nullptr) store_bytes(argmax + c, best.place, lanes);
      }
      y += s.c;
      if (argmax != nullptr) argmax += s.c;
    }
}

void max_forward(const PoolShape& s, const float* x, float* y, std::uint8_t* argmax) {
  if (s.kh == 2 && s.kw == 2 && s.stride_h == 2 && s.stride_w == 2 && s.top == 0 && s.left == 0 &&
      2 * s.out_h <= s.h && 2 * s.out_w <= s.w)
    return max_forward_halves(s, x, y, argmax);
  const bool small = s.kh == 2 && s.kw == 2;
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      const bool whole =
          small && window.top == 0 && window.bottom == 2 && window.left == 0 && window.right == 2;
      const float* first = x + ((window.row + window.top) * s.w + window.column + window.left) * s.c;
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        Best best;
        if (!whole || !best_of_four(s, first + c, lanes, best)) best = best_of(s, window, first + c, lanes);
        store(y + c, best.value, lanes);
        if (argmax != nullptr) store_bytes(argmax + c, best.place, lanes);
      }
      y += s.c;
      if (argmax != nullptr) argmax += s.c;
    }
}

/// Zeros where no window adds its share: everywhere when windows overlap (then shares are summed) or leave
/// gaps, else right of and below the windows.
void clear_rest(const PoolShape& s, float* dx) {
  const bool tiled = s.stride_h == s.kh && s.stride_w == s.kw && s.top == 0 && s.left == 0;
  const std::int64_t rows = tiled ? s.out_h * s.kh : 0, columns = s.out_w * s.kw;
  for (std::int64_t i = 0; i < rows && columns < s.w; ++i)
    for (std::int64_t k = (i * s.w + columns) * s.c; i < s.h && k < (i + 1) * s.w * s.c; ++k) dx[k] = 0;
  for (std::int64_t k = rows * s.w * s.c; k < s.h * s.w * s.c; ++k) dx[k] = 0;
}

void max_backward(const PoolShape& s, const float* dy, const std::uint8_t* argmax, float* dx) {
  const bool disjoint = s.stride_h >= s.kh && s.stride_w >= s.kw;
  const bool small = s.kh == 2 && s.kw == 2 && disjoint;
  clear_rest(s, dx);
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      const bool whole =
          small && window.top == 0 && window.bottom == 2 && window.left == 0 && window.right == 2;
      float* const first = dx + (window.row * s.w + window.column) * s.c;
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        const Vec grad = load(dy + c, lanes);
        const Vec place = load_bytes(argmax + c, lanes);
        if (whole) {
          float* const p = first + c;
          store(p, keep(equal(place, zero()), grad), lanes);
          store(p + s.c, keep(equal(place, broadcast(1)), grad), lanes);
          store(p + s.w * s.c, keep(equal(place, broadcast(2)), grad), lanes);
          store(p + (s.w + 1) * s.c, keep(equal(place, broadcast(3)), grad), lanes);
          continue;
        }
        for (std::int64_t a = window.top; a < window.bottom; ++a)
          for (std::int64_t b = window.left; b < window.right; ++b) {
            float* p = first + (a * s.w + b) * s.c + c;
            const Vec share = keep(equal(place, broadcast(static_cast<float>(a * s.kw + b))), grad);
            store(p, disjoint ? share : load(p, lanes) + share, lanes);
          }
      }
      dy += s.c;
      argmax += s.c;
    }
}

void avg_forward(const PoolShape& s, const float* x, float* y) {
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      const float* first = x + (window.row * s.w + window.column) * s.c;
      const std::int64_t count = (window.bottom - window.top) * (window.right - window.left);
      const Vec share = broadcast(1.0f / static_cast<float>(count));
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        Vec sum = zero();
        for (std::int64_t a = window.top; a < window.bottom; ++a)
          for (std::int64_t b = window.left; b < window.right; ++b)
            sum = sum + load(first + (a * s.w + b) * s.c + c, lanes);
        store(y + c, sum * share, lanes);
      }
      y += s.c;
    }
}

void avg_backward(const PoolShape& s, const float* dy, float* dx) {
  const bool disjoint = s.stride_h >= s.kh && s.stride_w >= s.kw;
  clear_rest(s, dx);
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      float* const first = dx + (window.row * s.w + window.column) * s.c;
      const std::int64_t count = (window.bottom - window.top) * (window.right - window.left);
      const Vec share = broadcast(1.0f / static_cast<float>(count));
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        const Vec grad = load(dy + c, lanes) * share;
        for (std::int64_t a = window.top; a < window.bottom; ++a)
          for (std::int64_t b = window.left; b < window.right; ++b) {
            float* p = first + (a * s.w + b) * s.c + c;
            store(p, disjoint ? grad : load(p, lanes) + grad, lanes);
          }
      }
      dy += s.c;
    }
}

}  // namespace

const Pool kPool = {max_forward, max_backward, avg_forward, avg_backward};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
