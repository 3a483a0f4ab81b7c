#include "../kernels/pool.h"

#include "common.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <array>
#include <vector>

namespace lathe {
namespace {

template <typename Op>
Shape checked_shape(const Op& op, const Tensor& x) {
  check(static_cast<bool>(x), "{}: input must not be empty", op.kName);
  check_f32(op.kName, {&x});
  const std::array shapes{x.shape()};
  return graph::infer_shape(op, shapes);
}

bool fits_byte(const kernels::PoolShape& shape) { return shape.kh * shape.kw <= kernels::kMaxByteWindow; }

Grads max_pool2d_backward(const Node& node, const Tensor& grad) {
  const kernels::PoolShape shape = pool_shape(std::get<graph::MaxPool2d>(node.op), node.input_shapes[0]);
  Tensor dx = Tensor::empty(node.input_shapes[0]);
  const Tensor& argmax = node.saved[0];
  if (fits_byte(shape)) {
    kernels::max_pool_backward(shape, read(grad), argmax.span<std::uint8_t>().data(), write(dx));
  } else {
    kernels::max_pool_backward(shape, read(grad), argmax.span<std::int32_t>().data(), write(dx));
  }
  return {dx};
}

Grads avg_pool2d_backward(const Node& node, const Tensor& grad) {
  Tensor dx = Tensor::empty(node.input_shapes[0]);
  kernels::avg_pool_backward(pool_shape(std::get<graph::AvgPool2d>(node.op), node.input_shapes[0]),
                             read(grad), write(dx));
  return {dx};
}

Grads global_avg_pool_backward(const Node& node, const Tensor& grad) {
  Tensor dx = Tensor::empty(node.input_shapes[0]);
  kernels::avg_pool_backward(global_pool_shape(node.input_shapes[0]), read(grad), write(dx));
  return {dx};
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const graph::MaxPool2d& op) {
  Tensor y = Tensor::empty(checked_shape(op, x));
  const kernels::PoolShape shape = pool_shape(op, x.shape());
  // Where the maximum was, a byte per output where the window allows it: four times less than keeping the
  // input.
  Tensor argmax;
  if (needs_grad({&x})) argmax = Tensor::empty(y.shape(), fits_byte(shape) ? Dtype::u8 : Dtype::i32);
  if (!argmax || fits_byte(shape)) {
    kernels::max_pool_forward(shape, read(x), write(y),
                              argmax ? argmax.mutable_span<std::uint8_t>().data() : nullptr);
  } else {
    kernels::max_pool_forward(shape, read(x), write(y), argmax.mutable_span<std::int32_t>().data());
  }
  const std::array inputs{x};
  return record(op, inputs, y, {argmax}, max_pool2d_backward);
}

Tensor avg_pool2d(const Tensor& x, const graph::AvgPool2d& op) {
  Tensor y = Tensor::empty(checked_shape(op, x));
  kernels::avg_pool_forward(pool_shape(op, x.shape()), read(x), write(y));
  const std::array inputs{x};
  return record(op, inputs, y, {}, avg_pool2d_backward);
}

Tensor global_avg_pool(const Tensor& x) {
  Tensor y = Tensor::empty(checked_shape(graph::GlobalAvgPool{}, x));
  kernels::avg_pool_forward(global_pool_shape(x.shape()), read(x), write(y));
  const std::array inputs{x};
  return record(graph::GlobalAvgPool{}, inputs, y, {}, global_avg_pool_backward);
}

}  // namespace lathe
