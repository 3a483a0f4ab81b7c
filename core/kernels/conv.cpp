#include "conv.h"

#include "depthwise.h"
#include "direct.h"
#include "reference/clamp.h"
#include "reference/conv.h"
#include "scratch.h"

namespace lathe::kernels {
namespace {

bool is_depthwise(const ConvShape& s) { return s.groups == s.c && s.c == s.o; }

}  // namespace

void conv_forward(const ConvShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  if (is_depthwise(s)) return depthwise::conv_forward(s, x, weight, bias, clamp, y);
  if (s.groups == 1) return direct::conv_forward(s, x, weight, bias, clamp, y);
  reference::conv_forward(s, x, weight, bias, y);
  reference::clamp(clamp, s.n * s.y_image(), y);
}

void conv_backward(const ConvShape& s, Clamp clamp, const ConvGradients& g) {
  if (is_depthwise(s)) return depthwise::conv_backward(s, clamp, g);
  if (s.groups == 1 && (g.dx == nullptr || direct::has_backward_data(s)))
    return direct::conv_backward(s, clamp, g);
  const Scratch masked(clamp == Clamp::none ? 0 : s.n * s.y_image());
  if (clamp != Clamp::none) reference::clamp_backward(clamp, s.n * s.y_image(), g.y, g.dy, masked.data());
  const float* dy = clamp == Clamp::none ? g.dy : masked.data();
  if (g.dx != nullptr) reference::conv_backward_data(s, dy, g.weight, g.dx);
  reference::conv_backward_weights(s, g.x, dy, g.dweight, g.dbias);
}

}  // namespace lathe::kernels
