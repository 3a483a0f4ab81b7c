#include "direct.h"

#include "parts.h"
#include "scratch.h"
#include "simd/simd.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels::direct {
namespace {

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
  std::int64_t floats() const { return padded() ? height * row() : 0; }
  std::int64_t origin() const { return top * row() + left * c; }
  void clear(float* canvas) const { std::fill_n(canvas, floats(), 0.0f); }
  /// The image on the canvas, whose border was cleared before.
  const float* draw(const float* image, float* canvas) const {
    if (!padded()) return image;
    for (std::int64_t i = 0; i < h; ++i) std::copy_n(image + i * w * c, w * c, canvas + origin() + i * row());
    return canvas;
  }
};

Canvas canvas_of_x(const ConvShape& s) {
  return {.h = s.h,
          .w = s.w,
          .c = s.c,
          .top = s.top,
          .left = s.left,
          .height = std::max(s.top + s.h, (s.out_h - 1) * s.stride_h + s.kh),
          .width = std::max(s.left + s.w, (s.out_w - 1) * s.stride_w + s.kw)};
}

/// With stride 1 the gradient of x is a convolution of dy, padded to where every window position exists.
Canvas canvas_of_dy(const ConvShape& s) {
  return {.h = s.out_h,
          .w = s.out_w,
          .c = s.o,
          .top = s.kh - 1 - s.top,
          .left = s.kw - 1 - s.left,
          .height = s.h + s.kh - 1,
          .width = s.w + s.kw - 1};
}

Windows windows_on_x(const ConvShape& s, const Canvas& canvas, const float* x) {
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

Windows windows_on_dy(const ConvShape& s, const Canvas& canvas, const float* dy) {
  return {.x = dy,
          .x_row = canvas.row(),
          .x_step = canvas.row(),
          .x_pixel = s.o,
          .kh = s.kh,
          .run = s.kw * s.o,
          .out_h = s.h,
          .out_w = s.w,
          .first_row = canvas.top,
          .last_row = canvas.top + canvas.h,
          .stride_h = 1};
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
void pack(const Packed& packed, const float* weight, float* b) {
  for (std::int64_t o = 0; o < packed.o; ++o) {
    float* to = b + packed.at(0, o);
    for (std::int64_t k = 0; k < packed.rows; ++k) to[k * packed.group] = weight[o * packed.rows + k];
  }
}

/// weight [o,kh,kw,c] -> [kh,kw,o, c] with the window turned by half a turn.
void pack_turned(const ConvShape& s, const Packed& packed, const float* weight, float* b) {
  for (std::int64_t tap = 0; tap < s.kh * s.kw; ++tap)
    for (std::int64_t o = 0; o < s.o; ++o) {
      const float* from = weight + (o * s.kh * s.kw + s.kh * s.kw - 1 - tap) * s.c;
      for (std::int64_t first = 0; first < s.c; first += packed.group)
        std::copy_n(from + first, std::min(packed.group, s.c - first), b + packed.at(tap * s.o + o, first));
    }
}

/// The sum of the parts' packed gradients -> dweight [o, rows].
void unpack_sum(const Packed& packed, std::int64_t parts, const float* db, std::int64_t part_floats,
                float* dweight) {
  for (std::int64_t o = 0; o < packed.o; ++o) {
    const float* from = db + packed.at(0, o);
    for (std::int64_t k = 0; k < packed.rows; ++k) {
      float sum = from[k * packed.group];
      for (std::int64_t part = 1; part < parts; ++part) sum += from[part * part_floats + k * packed.group];
      dweight[o * packed.rows + k] = sum;
    }
  }
}

/// A 1x1 convolution that visits every pixel is one product over the pixels of all images.
bool is_product(const ConvShape& s) {
  return s.kh == 1 && s.kw == 1 && s.stride_h == 1 && s.stride_w == 1 && s.out_h == s.h && s.out_w == s.w;
}

/// The same product as images of a size whose rows stay in the first-level cache.
ConvShape as_rows(const ConvShape& s) {
  const std::int64_t pixels = s.n * s.h * s.w;
  const std::int64_t most = std::max<std::int64_t>(14, 16384 / (s.c + s.o));
  std::int64_t row = std::min(pixels, most);
  while (pixels % row != 0) --row;
  if (row < 14) row = s.w;  // an awkward number of pixels: the images as they are
  ConvShape rows = s;
  rows.n = pixels / row;
  rows.h = rows.out_h = 1;
  rows.w = rows.out_w = row;
  return rows;
}

/// Rows of dy that are masked and used while they are in the first-level cache. Where the gradient of the
/// weight is so large that fetching it for each strip would cost more, the whole image.
std::int64_t strip_rows(const ConvShape& s) {
  if (s.weights() > 2048) return s.out_h;
  return std::clamp<std::int64_t>(4096 / (s.out_w * s.o), 1, s.out_h);
}

}  // namespace

bool has_backward_data(const ConvShape& s) {
  return s.stride_h == 1 && s.stride_w == 1 && s.top < s.kh && s.left < s.kw;
}

void conv_forward(const ConvShape& given, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  const ConvShape s = is_product(given) ? as_rows(given) : given;
  const simd::Conv& kernels = simd::simd().conv;
  const Packed packed(s.o, s.kh * s.kw * s.c, kernels.group);
  const Canvas canvas = canvas_of_x(s);
  const Parts parts(s.n);
  const Scratch scratch(packed.floats + parts.count * canvas.floats());
  float* const b = scratch.data();
  pack(packed, weight, b);
  parts.run([&](std::int64_t part) {
    float* const buffer = b + packed.floats + part * canvas.floats();
    canvas.clear(buffer);
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n) {
      const float* image = canvas.draw(x + n * s.x_image(), buffer);
      kernels.forward(windows_on_x(s, canvas, image), packed.columns(), b, bias, clamp, y + n * s.y_image(),
                      s.out_w * s.o);
    }
  });
}

namespace {

/// One backward pass: what its parts share.
struct Backward {
  Backward(const ConvShape& shape, Clamp clamp_, const ConvGradients& gradients)
      : s(shape),
        clamp(clamp_),
        g(gradients),
        parts(s.n),
        x_canvas(canvas_of_x(s)),
        dy_canvas(canvas_of_dy(s)),
        dweight(s.o, s.kh * s.kw * s.c, kernels.group),
        turned(s.c, s.kh * s.kw * s.o, kernels.group),
        strip(g.dx != nullptr ? s.out_h : strip_rows(s)),
        copies_dy(clamp != Clamp::none || (g.dx != nullptr && dy_canvas.padded())),
        dweight_floats(g.dweight != nullptr ? dweight.floats : 0),
        bias_floats(g.dbias != nullptr ? s.o : 0),
        x_floats(g.dweight != nullptr ? x_canvas.floats() : 0),
        dy_floats(!copies_dy                              ? 0
                  : g.dx != nullptr && dy_canvas.padded() ? dy_canvas.floats()
                                                          : strip * s.out_w * s.o),
        part_floats(dweight_floats + bias_floats + x_floats + dy_floats),
        scratch((g.dx != nullptr ? turned.floats : 0) + parts.count * part_floats) {}

  void run() {
    if (g.dx != nullptr) pack_turned(s, turned, g.weight, scratch.data());
    parts.run([this](std::int64_t part) { run_part(part); });
    const float* first = buffers(0);
    if (g.dweight != nullptr) unpack_sum(dweight, parts.count, first, part_floats, g.dweight);
    for (std::int64_t o = 0; o < bias_floats; ++o) {
      g.dbias[o] = first[dweight_floats + o];
      for (std::int64_t part = 1; part < parts.count; ++part)
        g.dbias[o] += first[part * part_floats + dweight_floats + o];
    }
  }

 private:
  /// A part's packed dweight, dbias, canvas of x, and copy of dy.
  float* buffers(std::int64_t part) const {
    return scratch.data() + (g.dx != nullptr ? turned.floats : 0) + part * part_floats;
  }

  void run_part(std::int64_t part) const {
    float* const db = buffers(part);
    float* const dbias = bias_floats > 0 ? db + dweight_floats : nullptr;
    float* const x_buffer = db + dweight_floats + bias_floats;
    float* const dy_buffer = x_buffer + x_floats;
    std::fill_n(db + dweight_floats, part_floats - dweight_floats, 0.0f);
    const bool on_canvas = g.dx != nullptr && dy_canvas.padded();
    const std::int64_t row = s.out_w * s.o;
    const std::int64_t dy_row = on_canvas ? dy_canvas.row() : row;
    bool first = true;
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n) {
      const float* x = g.dweight != nullptr ? x_canvas.draw(g.x + n * s.x_image(), x_buffer) : nullptr;
      for (std::int64_t top = 0; top < s.out_h; top += strip) {
        const std::int64_t rows = std::min(strip, s.out_h - top);
        const std::int64_t offset = n * s.y_image() + top * row;
        const float* dy = g.dy + offset;
        if (copies_dy || dbias != nullptr) {
          float* const copy = !copies_dy ? nullptr : dy_buffer + (on_canvas ? dy_canvas.origin() : 0);
          kernels.mask(clamp, rows, s.out_w, s.o, clamp != Clamp::none ? g.y + offset : nullptr, dy, row,
                       copy, dy_row, dbias);
          if (copies_dy) dy = copy;
        }
        if (g.dweight != nullptr) {
          Windows windows = windows_on_x(s, x_canvas, x);
          windows.x += top * windows.x_step;
          windows.first_row -= top * s.stride_h;
          windows.last_row -= top * s.stride_h;
          windows.out_h = rows;
          kernels.weights(windows, dweight.columns(), dy, dy_row, db, first);
          first = false;
        }
        if (g.dx != nullptr) {  // the strip is the whole image
          const float* canvas = on_canvas ? dy_buffer : dy;
          kernels.forward(windows_on_dy(s, dy_canvas, canvas), turned.columns(), scratch.data(), nullptr,
                          Clamp::none, g.dx + n * s.x_image(), s.w * s.c);
        }
      }
    }
  }

  const ConvShape s;
  const Clamp clamp;
  const ConvGradients& g;
  const simd::Conv& kernels = simd::simd().conv;
  const Parts parts;
  const Canvas x_canvas, dy_canvas;
  const Packed dweight, turned;
  const std::int64_t strip;  ///< rows of dy that are handled together
  const bool copies_dy;
  const std::int64_t dweight_floats, bias_floats, x_floats, dy_floats, part_floats;
  const Scratch scratch;
};

}  // namespace

void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g) {
  Backward(is_product(shape) ? as_rows(shape) : shape, clamp, g).run();
}

}  // namespace lathe::kernels::direct
