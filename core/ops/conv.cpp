#include "../kernels/conv.h"

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
Grads conv2d_backward(const Node& node, const Tensor& grad);

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op) {
  if (!fusable(op.activation)) {
    graph::Conv2d plain = op;
    plain.activation = Activation::none;
    return activate(conv2d(x, weight, bias, plain), op.activation);
  }
  check(x && weight, "{}: input and weight must not be empty", op.kName);
  check_f32(op.kName, {&x, &weight, &bias});
  const std::array shapes{x.shape(), weight.shape(), bias ? bias.shape() : Shape{}};
  Tensor y = Tensor::empty(graph::infer_shape(op, std::span(shapes).first(bias ? 3 : 2)));
  kernels::conv_forward(precision(), conv_shape(op, x.shape(), weight.shape()), read(x), read(weight),
                        read(bias), clamp_of(op.activation), write(y));

  // The input for the weight's gradient, the weight for the input's, the output for where the activation let
  // through.
  const Tensor none;
  const std::array inputs{x, weight, bias};
  return record(
      op, inputs, y,
      {weight.requires_grad() ? x : none, x.requires_grad() ? weight : none,
       op.activation != Activation::none ? y : none},
      precision() == Precision::bf16 ? conv2d_backward<Precision::bf16> : conv2d_backward<Precision::f32>);
}

namespace {

template <Precision kPrecision>
Grads conv2d_backward(const Node& node, const Tensor& grad) {
  const auto& op = std::get<graph::Conv2d>(node.op);
  Grads grads(3);
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (node.needs(i)) grads[i] = Tensor::empty(node.input_shapes[i]);
  kernels::conv_backward(kPrecision, conv_shape(op, node.input_shapes[0], node.input_shapes[1]),
                         clamp_of(op.activation),
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
