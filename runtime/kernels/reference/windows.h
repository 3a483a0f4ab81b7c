#pragma once

#include "../kernel.h"
#include "views.h"

#include <algorithm>
#include <cstdint>

/// Windows walking over images: what convolutions and pools of all dtypes share.
namespace lathe::runtime::reference {

/// Where an output element and its window are. Pixels of the window outside the image are left out by the
/// caller.
struct Place {
  std::int64_t image = 0;  ///< index of the sample
  std::int32_t row = 0;    ///< first row of the window in the image, may be negative
  std::int32_t column = 0;
};

inline Place place(const Window2d& window, std::int64_t row, std::int32_t column) {
  return {row / window.out_h,
          static_cast<std::int32_t>(row % window.out_h) * window.stride_h - window.pad_top,
          column * window.stride_w - window.pad_left};
}

/// Calls visit(first element of the pixel, index of the tap) for the pixels of a window that lie inside the
/// image.
template <typename T, typename Visit>
void for_each_tap(const Window2d& window, const Place& at, const T* images, Visit&& visit) {
  for (std::int32_t kh = 0; kh < window.kernel_h; ++kh) {
    for (std::int32_t kw = 0; kw < window.kernel_w; ++kw) {
      const std::int32_t h = at.row + kh, w = at.column + kw;
      if (h < 0 || h >= window.in_h || w < 0 || w >= window.in_w) continue;
      visit(images + ((at.image * window.in_h + h) * window.in_w + w) * window.in_c,
            kh * window.kernel_w + kw);
    }
  }
}

template <typename T>
void max_pool2d(const Call& call, Range rows) {
  const Window2d& window = params<Pool>(call).window;
  T* out = output<T>(call) + rows.begin * window.out_w * window.out_c;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t column = 0; column < window.out_w; ++column) {
      const Place at = place(window, row, column);
      for (std::int32_t c = 0; c < window.out_c; ++c) {
        T best{};
        bool first = true;
        for_each_tap(window, at, input<T>(call), [&](const T* pixel, std::int32_t) {
          best = first ? pixel[c] : std::max(best, pixel[c]);
          first = false;
        });
        *out++ = best;
      }
    }
  }
}

/// finish(sum, number of real pixels) gives the output.
template <typename T, typename Sum, typename Finish>
void avg_pool2d(const Call& call, Range rows, Finish&& finish) {
  const Window2d& window = params<Pool>(call).window;
  T* out = output<T>(call) + rows.begin * window.out_w * window.out_c;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t column = 0; column < window.out_w; ++column) {
      const Place at = place(window, row, column);
      for (std::int32_t c = 0; c < window.out_c; ++c) {
        Sum sum = 0;
        std::int32_t count = 0;
        for_each_tap(window, at, input<T>(call), [&](const T* pixel, std::int32_t) {
          sum += pixel[c];
          ++count;
        });
        *out++ = finish(sum, count);
      }
    }
  }
}

}  // namespace lathe::runtime::reference
