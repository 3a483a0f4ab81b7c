#include "linear.h"

#include "reference/clamp.h"
#include "reference/linear.h"
#include "scratch.h"

namespace lathe::kernels {

void linear_forward(const LinearShape& shape, const float* x, const float* weight, const float* bias,
                    Clamp clamp, float* y) {
  reference::linear_forward(shape, x, weight, bias, y);
  reference::clamp(clamp, shape.n * shape.o, y);
}

void linear_backward(const LinearShape& shape, Clamp clamp, const LinearGradients& g) {
  const Scratch masked(clamp == Clamp::none ? 0 : shape.n * shape.o);
  if (clamp != Clamp::none) reference::clamp_backward(clamp, shape.n * shape.o, g.y, g.dy, masked.data());
  const float* dy = clamp == Clamp::none ? g.dy : masked.data();
  if (g.dx != nullptr) reference::linear_backward_data(shape, dy, g.weight, g.dx);
  reference::linear_backward_weights(shape, g.x, dy, g.dweight, g.dbias);
}

}  // namespace lathe::kernels
