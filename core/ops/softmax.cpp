#include "../kernels/simd/simd.h"
#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

namespace lathe {
namespace {

using kernels::simd::simd;

using Forward = void (*)(const float*, float*, std::int64_t, std::int64_t);
using Backwards = void (*)(const float*, const float*, float*, std::int64_t, std::int64_t);

Tensor run(Forward f, const Tensor& x) {
  Tensor y = Tensor::empty(x.shape());
  const std::int64_t classes = x.shape()[-1];
  for_each_rows(x.size() / classes, classes,
                [&, from = read(x), to = write(y)](std::int64_t row, std::int64_t rows) {
                  f(from + row * classes, to + row * classes, rows, classes);
                });
  return y;
}

Tensor run(Backwards f, const Tensor& y, const Tensor& grad) {
  Tensor dx = Tensor::empty(y.shape());
  const std::int64_t classes = y.shape()[-1];
  for_each_rows(y.size() / classes, classes,
                [&, from = read(y), dy = read(grad), to = write(dx)](std::int64_t row, std::int64_t rows) {
                  f(from + row * classes, dy + row * classes, to + row * classes, rows, classes);
                });
  return dx;
}

Grads softmax_backward(const Node& node, const Tensor& grad) {
  return {run(simd().rows.softmax_backward, node.saved[0], grad)};
}

Grads log_softmax_backward(const Node& node, const Tensor& grad) {
  return {run(simd().rows.log_softmax_backward, node.saved[0], grad)};
}

}  // namespace

Tensor softmax(const Tensor& x) {
  const graph::Softmax op;
  infer_f32(op, {&x});
  const Tensor y = run(simd().rows.softmax, x);
  return record(op, {&x, 1}, y, {y}, softmax_backward);
}

Tensor log_softmax(const Tensor& x) {
  const graph::LogSoftmax op;
  infer_f32(op, {&x});
  const Tensor y = run(simd().rows.log_softmax, x);
  return record(op, {&x, 1}, y, {y}, log_softmax_backward);
}

}  // namespace lathe
