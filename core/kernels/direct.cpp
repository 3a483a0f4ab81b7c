#include "direct.h"

#include "canvas.h"
#include "parts.h"
#include "scratch.h"

#include <algorithm>
#include <cstring>

namespace lathe::kernels::direct {
namespace {

using simd::Windows;

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

/// One backward pass: what its parts share. Behind a 2x2 max pool `argmax` says where the elements of y and
/// dy come from; null: there is no pool.
struct Backward {
  Backward(const ConvShape& shape, Clamp clamp_, const ConvGradients& gradients, const std::uint8_t* argmax_)
      : s(shape),
        clamp(clamp_),
        g(gradients),
        argmax(argmax_),
        parts(s.n),
        x_canvas(canvas_of_x(s)),
        dy_canvas(canvas_of_dy(s)),
        dweight(s.o, s.kh * s.kw * s.c, kernels.group),
        turned(s.c, s.kh * s.kw * s.o, kernels.group),
        strip(g.dx != nullptr     ? s.out_h
              : argmax != nullptr ? pooled_strip_rows(s)
                                  : strip_rows(s)),
        copies_dy(argmax != nullptr || clamp != Clamp::none || (g.dx != nullptr && dy_canvas.padded())),
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
        float* const copy = !copies_dy ? nullptr : dy_buffer + (on_canvas ? dy_canvas.origin() : 0);
        if (argmax != nullptr) {
          const std::int64_t at = (n * s.out_h + top) / 2 * (s.out_w / 2) * s.o;
          kernels.unpool(clamp, rows / 2, s.out_w / 2, s.o, clamp != Clamp::none ? g.y + at : nullptr,
                         g.dy + at, argmax + at, copy, dy_row, dbias);
        } else if (copies_dy || dbias != nullptr) {
          const std::int64_t at = n * s.y_image() + top * row;
          kernels.mask(clamp, rows, s.out_w, s.o, clamp != Clamp::none ? g.y + at : nullptr, g.dy + at, row,
                       copy, dy_row, dbias);
        }
        const float* const dy = copies_dy ? copy : g.dy + n * s.y_image() + top * row;
        if (g.dweight != nullptr) {
          kernels.weights(strip_of(windows_on_x(s, x_canvas, x), top, rows), dweight.columns(), dy, dy_row,
                          db, first);
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
  const std::uint8_t* const argmax;
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

void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g, const std::uint8_t* argmax) {
  Backward(is_product(shape) && argmax == nullptr ? as_rows(shape) : shape, clamp, g, argmax).run();
}

}  // namespace lathe::kernels::direct
