#include "direct.h"

#include "canvas.h"
#include "parts.h"
#include "scratch.h"

#include <algorithm>
#include <limits>

/// Convolutions with a 2x2 max pool behind them.
namespace lathe::kernels::direct {
namespace {

/// Vectors of the gradients run along the input channels of whole windows; there must be enough of them to
/// keep the multipliers busy.
bool visits_maxima(const ConvShape& s) {
  const simd::PooledConv& kernels = simd::simd().pooled_conv;
  return s.c % kernels.width == 0 && s.kh * s.kw * s.c >= 6 * kernels.width &&
         canvas_of_x(s).size() <= std::numeric_limits<std::int32_t>::max();
}

/// One backward pass: what its parts share.
struct PooledBackward {
  PooledBackward(const ConvShape& shape, Clamp clamp_, const ConvGradients& gradients,
                 const std::uint8_t* argmax_)
      : s(shape),
        clamp(clamp_),
        g(gradients),
        argmax(argmax_),
        parts(s.n),
        canvas(canvas_of_x(s)),
        strip(strip_of_windows()),
        dweight_floats(g.dweight != nullptr ? s.weights() : 0),
        bias_floats(g.dbias != nullptr ? s.o : 0),
        x_floats(g.dweight != nullptr ? canvas.floats() : 0),
        dx_floats(g.dx != nullptr ? canvas.floats() : 0),
        most(strip * s.out_w / 2),
        part_floats(dweight_floats + bias_floats + x_floats + dx_floats + s.o * (2 * most + 1)),
        scratch(parts.count * part_floats) {}

  void run() {
    parts.run([this](std::int64_t part) { run_part(part); });
    add_up(0, dweight_floats, g.dweight);
    add_up(dweight_floats, bias_floats, g.dbias);
  }

 private:
  /// Rows of the pool whose part of the image stays in the first-level cache while all channels look at it.
  std::int64_t strip_of_windows() const {
    constexpr std::int64_t kFloats = 6144;
    return std::clamp<std::int64_t>((kFloats / canvas.row() - s.kh + 1) / 2, 1, s.out_h / 2);
  }

  void run_part(std::int64_t part) const {
    float* const dweight = scratch.data() + part * part_floats;
    float* const dbias = bias_floats > 0 ? dweight + dweight_floats : nullptr;
    float* const x_buffer = dweight + dweight_floats + bias_floats;
    float* const dx_buffer = x_buffer + x_floats;
    float* const grad = dx_buffer + dx_floats;
    auto* const numbers = reinterpret_cast<std::int32_t*>(grad + s.o * most);
    std::fill_n(dweight, dweight_floats + bias_floats + x_floats, 0.0f);
    const simd::Maxima maxima{
        .o = s.o, .most = most, .grad = grad, .at = numbers, .found = numbers + s.o * most};
    const simd::WindowRows rows{.kh = s.kh, .run = s.kw * s.c, .x_row = canvas.row()};
    const std::int64_t pixels = s.out_w / 2;
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n) {
      const float* const x = g.dweight != nullptr ? canvas.draw(g.x + n * s.x_image(), x_buffer) : nullptr;
      float* const image = g.dx != nullptr ? g.dx + n * s.x_image() : nullptr;
      float* const dx = canvas.padded() ? dx_buffer : image;
      if (image != nullptr) std::fill_n(dx, canvas.size(), 0.0f);
      for (std::int64_t top = 0; top < s.out_h / 2; top += strip) {
        const std::int64_t count = std::min(strip, s.out_h / 2 - top) * pixels;
        const std::int64_t from = (n * s.out_h / 2 + top) * pixels * s.o, row = 2 * top * canvas.row();
        kernels.find(clamp, count, pixels, s.c, canvas.row(), g.y != nullptr ? g.y + from : nullptr,
                     g.dy + from, argmax + from, maxima, dbias);
        if (g.dweight != nullptr) kernels.weights(maxima, rows, x + row, dweight);
        if (image != nullptr) kernels.data(maxima, rows, g.weight, dx + row);
      }
      if (image != nullptr && canvas.padded()) canvas.cut(dx, image);
    }
  }

  /// The sums over all parts.
  void add_up(std::int64_t offset, std::int64_t count, float* out) const {
    const float* const first = scratch.data() + offset;
    for (std::int64_t i = 0; i < count; ++i) {
      out[i] = first[i];
      for (std::int64_t part = 1; part < parts.count; ++part) out[i] += first[part * part_floats + i];
    }
  }

  const ConvShape s;
  const Clamp clamp;
  const ConvGradients& g;
  const std::uint8_t* const argmax;
  const simd::PooledConv& kernels = simd::simd().pooled_conv;
  const Parts parts;
  const Canvas canvas;
  const std::int64_t strip;  ///< rows of the pool that are handled together
  const std::int64_t dweight_floats, bias_floats, x_floats, dx_floats;
  const std::int64_t most;  ///< windows of the pool in a strip
  const std::int64_t part_floats;
  const Scratch scratch;
};

}  // namespace

void conv_pool_forward(const ConvShape& given, const float* x, const float* weight, const float* bias,
                       Clamp clamp, float* y, std::uint8_t* argmax) {
  const ConvShape s = pooled_part(given);
  const simd::Conv& kernels = simd::simd().conv;
  const simd::Pool& pool = simd::simd().pool;
  const Packed packed(s.o, s.kh * s.kw * s.c, kernels.group);
  const Canvas canvas = canvas_of_x(s);
  const Parts parts(s.n);
  const std::int64_t strip = pooled_strip_rows(s), row = s.out_w * s.o;
  const std::int64_t part_floats = canvas.floats() + strip * row;
  const Scratch scratch(packed.floats + parts.count * part_floats);
  float* const b = scratch.data();
  pack(packed, weight, b);
  parts.run([&](std::int64_t part) {
    float* const buffer = b + packed.floats + part * part_floats;
    float* const out = buffer + canvas.floats();
    canvas.clear(buffer);
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n) {
      const Windows windows = windows_on_x(s, canvas, canvas.draw(x + n * s.x_image(), buffer));
      for (std::int64_t top = 0; top < s.out_h; top += strip) {
        const std::int64_t rows = std::min(strip, s.out_h - top);
        kernels.forward(strip_of(windows, top, rows), packed.columns(), b, bias, clamp, out, row);
        const std::int64_t at = (n * s.out_h + top) / 2 * (s.out_w / 2) * s.o;
        pool.max_forward({.h = rows, .w = s.out_w, .c = s.o, .out_h = rows / 2, .out_w = s.out_w / 2}, out,
                         y + at, argmax != nullptr ? argmax + at : nullptr);
      }
    }
  });
}

void conv_pool_backward(const ConvShape& given, Clamp clamp, const ConvGradients& g,
                        const std::uint8_t* argmax) {
  const ConvShape s = pooled_part(given);
  if (visits_maxima(s)) return PooledBackward(s, clamp, g, argmax).run();
  conv_backward(s, clamp, g, argmax);
}

}  // namespace lathe::kernels::direct
