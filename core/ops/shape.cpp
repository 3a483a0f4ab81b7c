#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace lathe {
namespace {

/// Rows of floats within an array: row r begins at data + r * stride.
struct RowsOf {
  float* data;
  std::int64_t stride;
};

void copy_rows(const float* from, std::int64_t from_stride, RowsOf to, std::int64_t rows,
               std::int64_t width) {
  for_each_rows(rows, width, [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t r = begin; r < begin + count; ++r)
      std::memcpy(to.data + r * to.stride, from + r * from_stride,
                  static_cast<std::size_t>(width) * sizeof(float));
  });
}

Grads reshape_backward(const Node& node, const Tensor& grad) { return {grad.view(node.input_shapes[0])}; }

Grads concat_backward(const Node& node, const Tensor& grad) {
  const std::int64_t channels = grad.shape()[-1], rows = grad.size() / channels;
  Grads grads(node.inputs.size());
  const float* from = read(grad);
  for (std::size_t i = 0; i < grads.size(); ++i) {
    const std::int64_t width = node.input_shapes[i][-1];
    if (node.needs(i)) {
      grads[i] = Tensor::empty(node.input_shapes[i]);
      copy_rows(from, channels, {write(grads[i]), width}, rows, width);
    }
    from += width;
  }
  return grads;
}

/// Calls f(offset in the padded image, offset in the image, floats) for every row of every image.
template <typename F>
void for_each_image_row(const Shape& x, const graph::Pad& op, F&& f) {
  const std::int64_t width = x[2] * x[3], padded_width = width + (op.left + op.right) * x[3];
  const std::int64_t padded_height = x[1] + op.top + op.bottom;
  for_each_rows(x[0] * x[1], width, [&](std::int64_t begin, std::int64_t count) {
    for (std::int64_t r = begin; r < begin + count; ++r) {
      const std::int64_t row = r / x[1] * padded_height + op.top + r % x[1];
      f(row * padded_width + op.left * x[3], r * width, static_cast<std::size_t>(width) * sizeof(float));
    }
  });
}

Grads pad_backward(const Node& node, const Tensor& grad) {
  Tensor dx = Tensor::empty(node.input_shapes[0]);
  for_each_image_row(
      dx.shape(), std::get<graph::Pad>(node.op),
      [from = read(grad), to = write(dx)](std::int64_t padded, std::int64_t plain, std::size_t bytes) {
        std::memcpy(to + plain, from + padded, bytes);
      });
  return {dx};
}

}  // namespace

Tensor reshape(const Tensor& x, std::vector<std::int64_t> dims) {
  graph::Reshape op{std::move(dims)};
  const Shape shape = infer(op, {&x});
  if (shape == x.shape()) return x;
  return record(std::move(op), {&x, 1}, x.view(shape), {}, reshape_backward);
}

Tensor flatten(const Tensor& x) {
  check(x && x.shape().rank() >= 1 && x.shape()[0] >= 1, "flatten: input must be [N,...], given {}",
        x ? to_string(x.shape()) : "an empty handle");
  return reshape(x, {x.size() / x.shape()[0]});
}

Tensor concat(std::span<const Tensor> inputs) {
  const graph::Concat op;
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) {
    check(static_cast<bool>(input), "{}: input {} must not be empty", op.kName, shapes.size());
    check_f32(op.kName, {&input});
    shapes.push_back(input.shape());
  }
  Tensor y = Tensor::empty(graph::infer_shape(op, shapes));
  const std::int64_t channels = y.shape()[-1], rows = y.size() / channels;
  float* to = write(y);
  for (const Tensor& input : inputs) {
    const std::int64_t width = input.shape()[-1];
    copy_rows(read(input), width, {to, channels}, rows, width);
    to += width;
  }
  return record(op, inputs, y, {}, concat_backward);
}

Tensor pad(const Tensor& x, const graph::Pad& op) {
  Tensor y = Tensor::zeros(infer_f32(op, {&x}));
  for_each_image_row(
      x.shape(), op,
      [from = read(x), to = write(y)](std::int64_t padded, std::int64_t plain, std::size_t bytes) {
        std::memcpy(to + padded, from + plain, bytes);
      });
  return record(op, {&x, 1}, y, {}, pad_backward);
}

}  // namespace lathe
