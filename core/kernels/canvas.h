#pragma once

#include "shapes.h"
#include "simd/simd.h"

#include <algorithm>
#include <cstdint>

/// What the direct convolutions share: images with their padding, the windows on them, packed weights,
/// strips.
namespace lathe::kernels::direct {

using simd::Columns;
using simd::Windows;

/// An image with its padding written out, or the image itself where there is none.
struct Canvas {
  std::int64_t h, w, c;        ///< of the image
  std::int64_t top, left;      ///< where it lies on the canvas
  std::int64_t height, width;  ///< of the canvas

  bool padded() const { return height != h || width != w; }
  std::int64_t row() const { return width * c; }
  /// Floats of a canvas buffer; 0 when the image is used as it is.
  std::int64_t floats() const { return padded() ? size() : 0; }
  std::int64_t size() const { return height * row(); }
  std::int64_t origin() const { return top * row() + left * c; }
  void clear(float* canvas) const { std::fill_n(canvas, floats(), 0.0f); }
  /// The image on the canvas, whose border was cleared before.
  const float* draw(const float* image, float* canvas) const {
    if (!padded()) return image;
    for (std::int64_t i = 0; i < h; ++i) std::copy_n(image + i * w * c, w * c, canvas + origin() + i * row());
    return canvas;
  }
  /// The image out of its canvas.
  void cut(const float* canvas, float* image) const {
    for (std::int64_t i = 0; i < h; ++i) std::copy_n(canvas + origin() + i * row(), w * c, image + i * w * c);
  }
};

inline Canvas canvas_of_x(const ConvShape& s) {
  return {.h = s.h,
          .w = s.w,
          .c = s.c,
          .top = s.top,
          .left = s.left,
          .height = std::max(s.top + s.h, (s.out_h - 1) * s.stride_h + s.kh),
          .width = std::max(s.left + s.w, (s.out_w - 1) * s.stride_w + s.kw)};
}

inline Windows windows_on_x(const ConvShape& s, const Canvas& canvas, const float* x) {
  return {.x = x,
          .x_row = canvas.row(),
          .x_step = s.stride_h * canvas.row(),
          .x_pixel = s.stride_w * s.c,
          .kh = s.kh,
          .run = s.kw * s.c,
          .out_h = s.out_h,
          .out_w = s.out_w,
          .first_row = canvas.top,
          .last_row = canvas.top + canvas.h,
          .stride_h = s.stride_h};
}

/// A matrix of `rows` rows and o columns packed in column groups.
struct Packed {
  Packed(std::int64_t columns, std::int64_t rows_, std::int64_t group_)
      : o(columns), rows(rows_), group(group_), floats((columns + group - 1) / group * rows * group) {}

  Columns columns() const { return {.o = o, .pixel = o, .group_step = rows * group, .b_row = group}; }
  std::int64_t at(std::int64_t row, std::int64_t column) const {
    return column / group * rows * group + row * group + column % group;
  }

  std::int64_t o, rows, group, floats;
};

/// weight [o, rows] -> [rows, o]
inline void pack(const Packed& packed, const float* weight, float* b) {
  for (std::int64_t o = 0; o < packed.o; ++o) {
    float* to = b + packed.at(0, o);
    for (std::int64_t k = 0; k < packed.rows; ++k) to[k * packed.group] = weight[o * packed.rows + k];
  }
}

/// Rows of dy that are masked and used while they are in the first-level cache. Where the gradient of the
/// weight is so large that fetching it for each strip would cost more, the whole image.
inline std::int64_t strip_rows(const ConvShape& s) {
  if (s.weights() > 2048) return s.out_h;
  return std::clamp<std::int64_t>(4096 / (s.out_w * s.o), 1, s.out_h);
}

/// Output rows [top, top + rows) of the windows.
inline Windows strip_of(Windows windows, std::int64_t top, std::int64_t rows) {
  windows.x += top * windows.x_step;
  windows.first_row -= top * windows.stride_h;
  windows.last_row -= top * windows.stride_h;
  windows.out_h = rows;
  return windows;
}

/// What 2x2 windows read of the output: an odd row or column at the end is not computed.
inline ConvShape pooled_part(ConvShape s) {
  s.out_h -= s.out_h % 2;
  s.out_w -= s.out_w % 2;
  return s;
}

/// Strips that are pooled while they are near: an even number of rows.
inline std::int64_t pooled_strip_rows(const ConvShape& s) {
  return std::max<std::int64_t>(2, strip_rows(s) / 2 * 2);
}

}  // namespace lathe::kernels::direct
