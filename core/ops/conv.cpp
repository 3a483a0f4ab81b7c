#include "../kernels/conv.h"

#include "common.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/core/precision.h>
#include <lathe/core/trace.h>

#include <array>
#include <vector>

namespace lathe {
namespace {

/// The node keeps the precision of the forward computation by what it calls.
template <Precision kPrecision>
Grads conv2d_backward(const Node& node, const Tensor& grad);
Grads conv2d_max_pool_backward(const Node& node, const Tensor& grad);

/// The output's shape. Throws Error when the inputs are not as conv2d() takes them.
Shape checked_shape(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op) {
  check(x && weight, "{}: input and weight must not be empty", op.kName);
  check_f32(op.kName, {&x, &weight, &bias});
  const std::array shapes{x.shape(), weight.shape(), bias ? bias.shape() : Shape{}};
  return graph::infer_shape(op, std::span(shapes).first(bias ? 3 : 2));
}

/// The input for the weight's gradient, the weight for the input's, the output for where the activation let
/// through.
std::vector<Tensor> saved_for(const graph::Conv2d& op, const Tensor& x, const Tensor& weight,
                              const Tensor& y) {
  const Tensor none;
  return {weight.requires_grad() ? x : none, x.requires_grad() ? weight : none,
          op.activation != Activation::none ? y : none};
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op) {
  if (!fusable(op.activation)) {
    graph::Conv2d plain = op;
    plain.activation = Activation::none;
    return activate(conv2d(x, weight, bias, plain), op.activation);
  }
  Tensor y = Tensor::empty(checked_shape(x, weight, bias, op));
  kernels::conv_forward(precision(), conv_shape(op, x.shape(), weight.shape()), read(x), read(weight),
                        read(bias), clamp_of(op.activation), write(y));
  return record(
      op, std::array{x, weight, bias}, y, saved_for(op, x, weight, y),
      precision() == Precision::bf16 ? conv2d_backward<Precision::bf16> : conv2d_backward<Precision::f32>);
}

Tensor conv2d_max_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op) {
  const auto apart = [&] { return max_pool2d(conv2d(x, weight, bias, op)); };
  if (TraceScope::active() || !fusable(op.activation)) return apart();
  const Shape full = checked_shape(x, weight, bias, op);
  const kernels::ConvShape shape = conv_shape(op, x.shape(), weight.shape());
  if (!kernels::can_pool(precision(), shape)) return apart();
  Tensor y = Tensor::empty({full[0], full[1] / 2, full[2] / 2, full[3]}), argmax;
  if (needs_grad({&x, &weight, &bias})) argmax = Tensor::empty(y.shape(), Dtype::u8);
  kernels::conv_pool_forward(shape, read(x), read(weight), read(bias), clamp_of(op.activation), write(y),
                             argmax ? argmax.mutable_span<std::uint8_t>().data() : nullptr);
  std::vector<Tensor> saved = saved_for(op, x, weight, y);
  saved.push_back(argmax);
  return record(op, std::array{x, weight, bias}, y, std::move(saved), conv2d_max_pool_backward);
}

namespace {

/// Empty tensors where a gradient is needed.
Grads empty_gradients(const Node& node) {
  Grads grads(3);
  for (std::size_t i = 0; i < grads.size(); ++i)
    if (node.needs(i)) grads[i] = Tensor::empty(node.input_shapes[i]);
  return grads;
}

kernels::ConvGradients pointers(const Node& node, const Tensor& grad, Grads& grads) {
  return {.x = read(node.saved[0]),
          .weight = read(node.saved[1]),
          .y = read(node.saved[2]),
          .dy = read(grad),
          .dx = write(grads[0]),
          .dweight = write(grads[1]),
          .dbias = write(grads[2])};
}

kernels::ConvShape shape_of(const Node& node) {
  return conv_shape(std::get<graph::Conv2d>(node.op), node.input_shapes[0], node.input_shapes[1]);
}

kernels::Clamp clamp_of(const Node& node) {
  return lathe::clamp_of(std::get<graph::Conv2d>(node.op).activation);
}

template <Precision kPrecision>
Grads conv2d_backward(const Node& node, const Tensor& grad) {
  Grads grads = empty_gradients(node);
  kernels::conv_backward(kPrecision, shape_of(node), clamp_of(node), pointers(node, grad, grads));
  return grads;
}

Grads conv2d_max_pool_backward(const Node& node, const Tensor& grad) {
  Grads grads = empty_gradients(node);
  kernels::conv_pool_backward(shape_of(node), clamp_of(node), pointers(node, grad, grads),
                              node.saved[3].span<std::uint8_t>().data());
  return grads;
}

}  // namespace
}  // namespace lathe
