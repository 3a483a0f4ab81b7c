#include "conv.h"

#include "bf16.h"
#include "depthwise.h"
#include "direct.h"
#include "onednn/conv.h"
#include "parts.h"
#include "scratch.h"
#include "simd/simd.h"

#include <algorithm>
#include <utility>

namespace lathe::kernels {
namespace {

bool is_depthwise(const ConvShape& s) { return s.groups == s.c && s.c == s.o; }

/// Measured on AVX-512: up to some 100 KiB of weight the direct product wins or draws, beyond it oneDNN's
/// blocking does (3x3 64 to 64: 15 % faster forward; 1x1 192 to 1152: 40 %).
bool is_direct(const ConvShape& s) {
  constexpr std::int64_t kMostWeights = 32768;
  return s.groups == 1 && s.weights() <= kMostWeights;
}

/// masked = dy where the clamp let through; adds the sums over all pixels to dbias unless that is null.
void mask(const ConvShape& s, Clamp clamp, const ConvGradients& g, float* masked) {
  const Parts parts(s.n);
  const Scratch sums(parts.count * s.o);
  parts.run([&](std::int64_t part) {
    const std::int64_t first = parts.begin(part) * s.y_image();
    const std::int64_t pixels = (parts.end(part) - parts.begin(part)) * s.out_h * s.out_w;
    float* const sum = sums.data() + part * s.o;
    std::fill_n(sum, s.o, 0.0f);
    simd::simd().conv.mask(clamp, 1, pixels, s.o, g.y + first, g.dy + first, 0, masked + first, 0, sum);
  });
  if (g.dbias == nullptr) return;
  std::copy_n(sums.data(), s.o, g.dbias);
  for (std::int64_t part = 1; part < parts.count; ++part)
    for (std::int64_t o = 0; o < s.o; ++o) g.dbias[o] += sums.data()[part * s.o + o];
}

}  // namespace

void conv_forward(Precision precision, const ConvShape& s, const float* x, const float* weight,
                  const float* bias, Clamp clamp, float* y) {
  if (precision == Precision::bf16 && bf16::takes(s)) return bf16::conv_forward(s, x, weight, bias, clamp, y);
  if (is_depthwise(s)) return depthwise::conv_forward(s, x, weight, bias, clamp, y);
  if (is_direct(s)) return direct::conv_forward(s, x, weight, bias, clamp, y);
  onednn::conv_forward(s, x, weight, bias, clamp, y);
}

void conv_backward(Precision precision, const ConvShape& s, Clamp clamp, const ConvGradients& g) {
  if (precision == Precision::bf16 && bf16::takes(s)) return bf16::conv_backward(s, clamp, g);
  if (is_depthwise(s)) return depthwise::conv_backward(s, clamp, g);
  if (is_direct(s) && (g.dx == nullptr || direct::has_backward_data(s)))
    return direct::conv_backward(s, clamp, g);

  // oneDNN computes the gradients one by one, so the masked dy is kept for both.
  const Scratch masked(clamp != Clamp::none ? s.n * s.y_image() : 0);
  ConvGradients rest = g;
  if (clamp != Clamp::none) {
    mask(s, clamp, g, masked.data());
    rest.dy = masked.data();
    rest.dbias = nullptr;
  }
  if (rest.dx != nullptr)
    onednn::conv_backward_data(s, rest.dy, rest.weight, std::exchange(rest.dx, nullptr));
  if (rest.dweight == nullptr && rest.dbias == nullptr) return;
  if (is_direct(s) || rest.dweight == nullptr)
    direct::conv_backward(s, Clamp::none, rest);
  else
    onednn::conv_backward_weights(s, rest.x, rest.dy, rest.dweight, rest.dbias);
}

bool can_pool(Precision precision, const ConvShape& s) {
  if (precision == Precision::bf16 && bf16::takes(s)) return false;
  return !is_depthwise(s) && is_direct(s) && direct::has_backward_data(s) && s.out_h > 1 && s.out_w > 1;
}

void conv_pool_forward(const ConvShape& s, const float* x, const float* weight, const float* bias,
                       Clamp clamp, float* y, std::uint8_t* argmax) {
  direct::conv_pool_forward(s, x, weight, bias, clamp, y, argmax);
}

void conv_pool_backward(const ConvShape& s, Clamp clamp, const ConvGradients& g, const std::uint8_t* argmax) {
  direct::conv_pool_backward(s, clamp, g, argmax);
}

}  // namespace lathe::kernels
