#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/base/shape.h>

#include <cstdint>
#include <span>

namespace lathe::datasets {

/// A part of an image in pixels; borders may lie between pixels.
struct Box {
  double left = 0;
  double top = 0;
  double width = 0;
  double height = 0;
};

/// The largest box in the middle of an image whose aspect ratio is width / height, for a result of that size.
/// It begins at a whole pixel of the result.
Box middle_box(std::int64_t image_width, std::int64_t image_height, std::int64_t width, std::int64_t height);

/// Writes row `y` of the image as width * channels floats.
using ReadRow = FunctionRef<void(std::int64_t y, float* to)>;

/// Resamples `box` of an image into out [H,W,C], `shape`. Pixel centres lie at halves; the filter is a
/// triangle whose half width is one pixel of the result, at least one of the image: bilinear when it
/// enlarges, antialiased when it shrinks. (The convention of Pillow's BILINEAR.) Only rows that matter are
/// read, in order.
void resize(std::int64_t image_width, std::int64_t image_height, const Box& box, ReadRow read_row,
            const Shape& shape, std::span<float> out);

}  // namespace lathe::datasets
