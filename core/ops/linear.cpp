#include "../kernels/linear.h"

#include "common.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/core/precision.h>

#include <array>
#include <vector>

namespace lathe {
namespace {

/// The node keeps the precision of the forward computation by what it calls.
template <Precision kPrecision>
Grads linear_backward(const Node& node, const Tensor& grad);

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Linear& op) {
  if (!fusable(op.activation)) return activate(linear(x, weight, bias), op.activation);
  check(x && weight, "{}: input and weight must not be empty", op.kName);
  check_f32(op.kName, {&x, &weight, &bias});
  const std::array shapes{x.shape(), weight.shape(), bias ? bias.shape() : Shape{}};
  Tensor y = Tensor::empty(graph::infer_shape(op, std::span(shapes).first(bias ? 3 : 2)));
  kernels::linear_forward(precision(), linear_shape(x.shape(), weight.shape()), read(x), read(weight),
                          read(bias), clamp_of(op.activation), write(y));

  // As conv2d.
  const Tensor none;
  const std::array inputs{x, weight, bias};
  return record(
      op, inputs, y,
      {weight.requires_grad() ? x : none, x.requires_grad() ? weight : none,
       op.activation != Activation::none ? y : none},
      precision() == Precision::bf16 ? linear_backward<Precision::bf16> : linear_backward<Precision::f32>);
}

namespace {

template <Precision kPrecision>
Grads linear_backward(const Node& node, const Tensor& grad) {
  Grads grads(3);
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (node.needs(i)) grads[i] = Tensor::empty(node.input_shapes[i]);
  kernels::linear_backward(kPrecision, linear_shape(node.input_shapes[0], node.input_shapes[1]),
                           clamp_of(std::get<graph::Linear>(node.op).activation),
                           {.x = read(node.saved[0]),
                            .weight = read(node.saved[1]),
                            .y = read(node.saved[2]),
                            .dy = read(grad),
                            .dx = write(grads[0]),
                            .dweight = write(grads[1]),
                            .dbias = write(grads[2])});
  return grads;
}

}  // namespace
}  // namespace lathe
