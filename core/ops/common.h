#pragma once

#include "../kernels/shapes.h"

#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <initializer_list>
#include <string_view>

namespace lathe {

/// Is the activation part of the kernels of conv2d and linear? The others run as an op of their own.
inline bool fusable(graph::Activation activation) {
  return activation == graph::Activation::none || activation == graph::Activation::relu ||
         activation == graph::Activation::relu6;
}

inline kernels::Clamp clamp_of(graph::Activation activation) {
  return activation == graph::Activation::relu    ? kernels::Clamp::relu
         : activation == graph::Activation::relu6 ? kernels::Clamp::relu6
                                                  : kernels::Clamp::none;
}

/// Throws Error unless all given tensors are f32; empty ones are passed over.
inline void check_f32(std::string_view op, std::initializer_list<const Tensor*> inputs) {
  for (const Tensor* input : inputs)
    check(!*input || input->dtype() == Dtype::f32, "{}: inputs must be f32, given {}", op,
          *input ? to_string(input->dtype()) : "");
}

inline kernels::ConvShape conv_shape(const graph::Conv2d& op, const Shape& x, const Shape& weight) {
  const graph::Window rows = graph::slide(op.kName, x[1], weight[1], op.stride_h, op.padding);
  const graph::Window columns = graph::slide(op.kName, x[2], weight[2], op.stride_w, op.padding);
  return {.n = x[0],
          .h = x[1],
          .w = x[2],
          .c = x[3],
          .o = weight[0],
          .kh = weight[1],
          .kw = weight[2],
          .stride_h = op.stride_h,
          .stride_w = op.stride_w,
          .top = rows.before,
          .left = columns.before,
          .out_h = rows.out,
          .out_w = columns.out,
          .groups = op.groups};
}

inline kernels::LinearShape linear_shape(const Shape& x, const Shape& weight) {
  return {.n = x[0], .i = x[1], .o = weight[0]};
}

/// Of MaxPool2d or AvgPool2d.
template <typename Op>
kernels::PoolShape pool_shape(const Op& op, const Shape& x) {
  const graph::Window rows = graph::slide(op.kName, x[1], op.kernel_h, op.stride_h, op.padding);
  const graph::Window columns = graph::slide(op.kName, x[2], op.kernel_w, op.stride_w, op.padding);
  return {.n = x[0],
          .h = x[1],
          .w = x[2],
          .c = x[3],
          .kh = op.kernel_h,
          .kw = op.kernel_w,
          .stride_h = op.stride_h,
          .stride_w = op.stride_w,
          .top = rows.before,
          .left = columns.before,
          .out_h = rows.out,
          .out_w = columns.out};
}

/// One window, the whole image.
inline kernels::PoolShape global_pool_shape(const Shape& x) {
  return {.n = x[0], .h = x[1], .w = x[2], .c = x[3], .kh = x[1], .kw = x[2]};
}

inline const float* read(const Tensor& tensor) { return tensor ? tensor.span<float>().data() : nullptr; }
inline float* write(Tensor& tensor) { return tensor ? tensor.mutable_span<float>().data() : nullptr; }

}  // namespace lathe
