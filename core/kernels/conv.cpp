#include "conv.h"

#include "reference/clamp.h"
#include "reference/conv.h"
#include "scratch.h"

namespace lathe::kernels {

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  reference::conv_forward(shape, x, weight, bias, y);
  reference::clamp(clamp, shape.n * shape.y_image(), y);
}

void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g) {
  const Scratch masked(clamp == Clamp::none ? 0 : shape.n * shape.y_image());
  if (clamp != Clamp::none)
    reference::clamp_backward(clamp, shape.n * shape.y_image(), g.y, g.dy, masked.data());
  const float* dy = clamp == Clamp::none ? g.dy : masked.data();
  if (g.dx != nullptr) reference::conv_backward_data(shape, dy, g.weight, g.dx);
  reference::conv_backward_weights(shape, g.x, dy, g.dweight, g.dbias);
}

}  // namespace lathe::kernels
