#include "depthwise.h"

#include "parts.h"
#include "scratch.h"
#include "simd/simd.h"

#include <algorithm>

namespace lathe::kernels::depthwise {
namespace {

/// weight [c,taps] -> [taps,c], the taps in reverse order when `turned`.
void transpose(const ConvShape& s, const float* weight, bool turned, float* out) {
  const std::int64_t taps = s.kh * s.kw;
  for (std::int64_t tap = 0; tap < taps; ++tap)
    for (std::int64_t c = 0; c < s.c; ++c)
      out[tap * s.c + c] = weight[c * taps + (turned ? taps - 1 - tap : tap)];
}

/// With stride 1 the gradient of x is a convolution of dy with the window turned by half a turn.
ConvShape turned_shape(const ConvShape& s) {
  ConvShape t = s;
  t.h = s.out_h;
  t.w = s.out_w;
  t.top = s.kh - 1 - s.top;
  t.left = s.kw - 1 - s.left;
  t.out_h = s.h;
  t.out_w = s.w;
  return t;
}

}  // namespace

void conv_forward(const ConvShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  const simd::Depthwise& kernels = simd::simd().depthwise;
  const Scratch scratch(s.weights() + s.w * s.c);
  float* const w = scratch.data();
  float* const zeros = w + s.weights();
  transpose(s, weight, false, w);
  std::fill_n(zeros, s.w * s.c, 0.0f);
  const Parts parts(s.n);
  parts.run([&](std::int64_t part) {
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n)
      kernels.forward(s, x + n * s.x_image(), w, bias, zeros, clamp, y + n * s.y_image());
  });
}

void conv_backward(const ConvShape& s, Clamp clamp, const ConvGradients& g) {
  const simd::Depthwise& kernels = simd::simd().depthwise;
  const Parts parts(s.n);
  const bool turn = s.stride_h == 1 && s.stride_w == 1;
  const std::int64_t taps = s.kh * s.kw;
  const std::int64_t zero_floats = std::max(s.w, s.out_w) * s.c;
  const std::int64_t masked_floats = clamp != Clamp::none ? s.y_image() : 0;
  const std::int64_t sums = s.weights() + s.o;  // a part's dweight [taps,c] and dbias
  const std::int64_t part_floats = sums + masked_floats;
  const Scratch scratch(s.weights() + zero_floats + parts.count * part_floats);
  float* const w = scratch.data();
  float* const zeros = w + s.weights();
  float* const buffers = zeros + zero_floats;
  if (g.dx != nullptr) transpose(s, g.weight, turn, w);
  std::fill_n(zeros, zero_floats, 0.0f);
  const ConvShape turned = turned_shape(s);

  parts.run([&](std::int64_t part) {
    float* const dweight = buffers + part * part_floats;
    float* const dbias = g.dbias != nullptr ? dweight + s.weights() : nullptr;
    float* const masked = dweight + sums;
    std::fill_n(dweight, sums, 0.0f);
    for (std::int64_t n = parts.begin(part); n < parts.end(part); ++n) {
      const float* dy = g.dy + n * s.y_image();
      if (clamp != Clamp::none || dbias != nullptr) {
        const bool mask = clamp != Clamp::none;
        simd::simd().conv.mask(clamp, 1, s.out_h * s.out_w, s.o, mask ? g.y + n * s.y_image() : nullptr, dy,
                               0, mask ? masked : nullptr, 0, dbias);
        if (mask) dy = masked;
      }
      if (g.dweight != nullptr) kernels.weights(s, g.x + n * s.x_image(), dy, zeros, dweight);
      if (g.dx == nullptr) continue;
      float* const dx = g.dx + n * s.x_image();
      if (turn)
        kernels.forward(turned, dy, w, nullptr, zeros, Clamp::none, dx);
      else
        kernels.data(s, dy, w, dx);
    }
  });

  const auto total = [&](std::int64_t index) {
    float sum = buffers[index];
    for (std::int64_t part = 1; part < parts.count; ++part) sum += buffers[part * part_floats + index];
    return sum;
  };
  for (std::int64_t c = 0; c < s.c; ++c) {
    for (std::int64_t tap = 0; g.dweight != nullptr && tap < taps; ++tap)
      g.dweight[c * taps + tap] = total(tap * s.c + c);
    if (g.dbias != nullptr) g.dbias[c] = total(s.weights() + c);
  }
}

}  // namespace lathe::kernels::depthwise
