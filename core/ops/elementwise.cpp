#include "../kernels/simd/simd.h"
#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <vector>

namespace lathe {
namespace {

using kernels::simd::simd;

std::size_t number(Activation activation) { return static_cast<std::size_t>(activation); }

Tensor activation_gradient(Activation activation, const Tensor& saved, const Tensor& grad) {
  Tensor dx = reuse(grad);
  for_each_part(grad.size(),
                [&, f = simd().elementwise.activate_backward[number(activation)], from = read(saved),
                 dy = read(grad), to = write(dx)](std::int64_t begin, std::int64_t size) {
                  f(from + begin, dy + begin, to + begin, size);
                });
  return dx;
}

Tensor scaled(const Tensor& x, float factor, Tensor y) {
  for_each_part(x.size(), [&, from = read(x), to = write(y)](std::int64_t begin, std::int64_t size) {
    simd().elementwise.scale(factor, from + begin, to + begin, size);
  });
  return y;
}

Tensor product(const Tensor& a, const Tensor& b) {
  Tensor y = Tensor::empty(a.shape());
  for_each_part(a.size(),
                [&, pa = read(a), pb = read(b), to = write(y)](std::int64_t begin, std::int64_t size) {
                  simd().elementwise.multiply(pa + begin, pb + begin, to + begin, size);
                });
  return y;
}

/// An image [N,H,W,C] times a gate for each of its channels [N,C].
Tensor gated(const Tensor& image, const Tensor& gate) {
  const std::int64_t channels = image.shape()[3], area = image.shape()[1] * image.shape()[2];
  Tensor y = Tensor::empty(image.shape());
  for_each_rows(image.shape()[0], area * channels,
                [&, a = read(image), b = read(gate), to = write(y)](std::int64_t begin, std::int64_t count) {
                  for (std::int64_t n = begin; n < begin + count; ++n)
                    simd().elementwise.multiply_rows(a + n * area * channels, b + n * channels,
                                                     to + n * area * channels, area, channels);
                });
  return y;
}

/// The sum over each image of a * b, for each channel; of the gate's shape.
Tensor gate_gradient(const Tensor& a, const Tensor& b, const Shape& shape) {
  const std::int64_t channels = a.shape()[3], area = a.shape()[1] * a.shape()[2];
  Tensor y = Tensor::empty(shape);
  for_each_rows(a.shape()[0], area * channels,
                [&, pa = read(a), pb = read(b), to = write(y)](std::int64_t begin, std::int64_t count) {
                  for (std::int64_t n = begin; n < begin + count; ++n)
                    simd().elementwise.dot_rows(pa + n * area * channels, pb + n * area * channels,
                                                to + n * channels, area, channels);
                });
  return y;
}

Grads activate_backward(const Node& node, const Tensor& grad) {
  return {activation_gradient(std::get<graph::Activate>(node.op).activation, node.saved[0], grad)};
}

Grads add_backward(const Node& node, const Tensor& grad) {
  const Activation activation = std::get<graph::Add>(node.op).activation;
  const Tensor dx =
      activation == Activation::none ? grad : activation_gradient(activation, node.saved[0], grad);
  return {node.needs(0) ? dx : Tensor(), node.needs(1) ? dx : Tensor()};
}

Grads multiply_backward(const Node& node, const Tensor& grad) {
  const Tensor &a = node.saved[0], &b = node.saved[1];
  const bool same = node.input_shapes[0] == node.input_shapes[1];
  Grads grads(2);
  if (node.needs(0)) grads[0] = same ? product(grad, b) : gated(grad, b);
  if (node.needs(1)) grads[1] = same ? product(grad, a) : gate_gradient(grad, a, node.input_shapes[1]);
  return grads;
}

Grads scale_backward(const Node& node, const Tensor& grad) {
  return {scaled(grad, std::get<graph::Scale>(node.op).factor, reuse(grad))};
}

Grads sum_backward(const Node& node, const Tensor& grad) {
  return {Tensor::full(node.input_shapes[0], grad.item())};
}

}  // namespace

Tensor activate(const Tensor& x, Activation activation) {
  if (activation == Activation::none) return x;
  const graph::Activate op{activation};
  Tensor y = Tensor::empty(infer_f32(op, {&x}));
  for_each_part(x.size(),
                [&, f = simd().elementwise.activate[number(activation)], from = read(x), to = write(y)](
                    std::int64_t begin, std::int64_t size) { f(from + begin, to + begin, size); });
  // The derivatives follow from the output; that of silu does not.
  std::vector<Tensor> saved;
  if (needs_grad({&x})) saved = {activation == Activation::silu ? x : y};
  return record(op, {&x, 1}, y, std::move(saved), activate_backward);
}

Tensor relu(const Tensor& x) { return activate(x, Activation::relu); }
Tensor relu6(const Tensor& x) { return activate(x, Activation::relu6); }
Tensor sigmoid(const Tensor& x) { return activate(x, Activation::sigmoid); }
Tensor silu(const Tensor& x) { return activate(x, Activation::silu); }

Tensor add(const Tensor& a, const Tensor& b, Activation activation) {
  if (!fusable(activation)) return activate(add(a, b), activation);
  const graph::Add op{activation};
  Tensor y = Tensor::empty(infer_f32(op, {&a, &b}));
  for_each_part(y.size(), [&, f = simd().elementwise.add[number(activation)], pa = read(a), pb = read(b),
                           to = write(y)](std::int64_t begin, std::int64_t size) {
    f(pa + begin, pb + begin, to + begin, size);
  });
  std::vector<Tensor> saved;
  if (activation != Activation::none && needs_grad({&a, &b})) saved = {y};
  return record(op, std::array{a, b}, y, std::move(saved), add_backward);
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  const graph::Multiply op;
  infer_f32(op, {&a, &b});
  Tensor y = a.shape() == b.shape() ? product(a, b) : gated(a, b);
  std::vector<Tensor> saved;
  if (needs_grad({&a, &b})) saved = {needs_grad({&b}) ? a : Tensor(), needs_grad({&a}) ? b : Tensor()};
  return record(op, std::array{a, b}, y, std::move(saved), multiply_backward);
}

Tensor scale(const Tensor& x, float factor) {
  const graph::Scale op{factor};
  infer_f32(op, {&x});
  Tensor y = scaled(x, factor, Tensor::empty(x.shape()));
  return record(op, {&x, 1}, y, {}, scale_backward);
}

Tensor sum(const Tensor& x) {
  const graph::Sum op;
  Tensor y = Tensor::empty(infer_f32(op, {&x}));
  constexpr std::int64_t kPart = 16384;  // fixed, so that any number of threads adds up in the same order
  std::vector<double> sums(static_cast<std::size_t>((x.size() + kPart - 1) / kPart));
  parallel_for(static_cast<std::int64_t>(sums.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p)
      sums[static_cast<std::size_t>(p)] =
          simd().elementwise.sum(read(x) + p * kPart, std::min(kPart, x.size() - p * kPart));
  });
  double total = 0;
  for (double part : sums) total += part;
  *write(y) = static_cast<float>(total);
  return record(op, {&x, 1}, y, {}, sum_backward);
}

}  // namespace lathe
