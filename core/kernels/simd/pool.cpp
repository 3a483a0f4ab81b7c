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
  const Lanes better = greater(value, best.value) | (is_nan(value) & equal(best.value, best.value));
  best.value = select(better, value, best.value);
  best.place = select(better, broadcast(place), best.place);
}

void max_forward(const PoolShape& s, const float* x, float* y, std::uint8_t* argmax) {
  const bool small = s.kh == 2 && s.kw == 2;
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      const bool whole =
          small && window.top == 0 && window.bottom == 2 && window.left == 0 && window.right == 2;
      const float* first = x + ((window.row + window.top) * s.w + window.column + window.left) * s.c;
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        const float* p = first + c;
        Best best{load(p, lanes), broadcast(static_cast<float>(window.top * s.kw + window.left))};
        if (whole) {
          improve(best, load(p + s.c, lanes), 1);
          improve(best, load(p + s.w * s.c, lanes), 2);
          improve(best, load(p + (s.w + 1) * s.c, lanes), 3);
        } else {
          for (std::int64_t a = window.top; a < window.bottom; ++a, p += s.w * s.c)
            for (std::int64_t b = window.left; b < window.right; ++b)
              improve(best, load(p + (b - window.left) * s.c, lanes), static_cast<float>(a * s.kw + b));
        }
        store(y + c, best.value, lanes);
        if (argmax != nullptr) store_bytes(argmax + c, best.place, lanes);
      }
      y += s.c;
      if (argmax != nullptr) argmax += s.c;
    }
}

/// Does every input element lie in exactly one window? Then the backward passes need neither zeros before nor
/// sums.
bool tiles_image(const PoolShape& s) {
  return s.stride_h == s.kh && s.stride_w == s.kw && s.top == 0 && s.left == 0 && s.out_h * s.kh >= s.h &&
         s.out_w * s.kw >= s.w;
}

void clear(const PoolShape& s, float* dx) {
  __builtin_memset(dx, 0, static_cast<__SIZE_TYPE__>(s.h * s.w * s.c) * sizeof(float));
}

void max_backward(const PoolShape& s, const float* dy, const std::uint8_t* argmax, float* dx) {
  const bool disjoint = s.stride_h >= s.kh && s.stride_w >= s.kw;
  if (!tiles_image(s)) clear(s, dx);
  for (std::int64_t i = 0; i < s.out_h; ++i)
    for (std::int64_t j = 0; j < s.out_w; ++j) {
      const Window window(s, i, j);
      float* const first = dx + (window.row * s.w + window.column) * s.c;
      for (std::int64_t c = 0; c < s.c; c += kWidth) {
        const Lanes lanes = first_lanes(s.c - c);
        const Vec grad = load(dy + c, lanes);
        const Vec place = load_bytes(argmax + c, lanes);
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
  if (!tiles_image(s)) clear(s, dx);
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
