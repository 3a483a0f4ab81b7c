#include "op_cases.h"

#include "../../core/kernels/reference/pool.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <cstdint>
#include <vector>

namespace lathe::testing {
namespace {

using graph::AvgPool2d;
using graph::MaxPool2d;
using graph::Padding;

Plain plain_max(const kernels::PoolShape& s, std::span<const Tensor> inputs, const Tensor& grad) {
  Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(inputs[0].shape())}};
  std::vector<std::int32_t> argmax(static_cast<std::size_t>(s.n * s.y_image()));
  kernels::reference::max_pool_forward(s, read(inputs[0]), write(plain.output), argmax.data());
  kernels::reference::max_pool_backward(s, read(grad), argmax.data(), write(plain.grads[0]));
  return plain;
}

Plain plain_avg(const kernels::PoolShape& s, std::span<const Tensor> inputs, const Tensor& grad) {
  Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(inputs[0].shape())}};
  kernels::reference::avg_pool_forward(s, read(inputs[0]), write(plain.output));
  kernels::reference::avg_pool_backward(s, read(grad), write(plain.grads[0]));
  return plain;
}

OpCase max_case(const std::string& name, const Shape& x, const MaxPool2d& op = {}) {
  OpCase c;
  c.name = "max_pool2d/" + name;
  c.op = op;
  c.inputs = [x](Rng& rng) { return std::vector{spaced(x, rng, 1.0f / 16)}; };
  c.run = [op](std::span<const Tensor> inputs) { return max_pool2d(inputs[0], op); };
  c.plain = [s = pool_shape(op, x)](std::span<const Tensor> inputs, const Tensor& grad) {
    return plain_max(s, inputs, grad);
  };
  c.tolerance = 1e-6;
  c.why = "overlapping windows add up their gradients in another order";
  c.step = 1.0f / 64;  // less than half the gap between elements
  return c;
}

OpCase avg_case(const std::string& name, const Shape& x, const AvgPool2d& op = {}) {
  OpCase c;
  c.name = "avg_pool2d/" + name;
  c.op = op;
  c.inputs = [x](Rng& rng) { return std::vector{uniform(x, rng)}; };
  c.run = [op](std::span<const Tensor> inputs) { return avg_pool2d(inputs[0], op); };
  c.plain = [s = pool_shape(op, x)](std::span<const Tensor> inputs, const Tensor& grad) {
    return plain_avg(s, inputs, grad);
  };
  c.why = "sums of a window in another order";
  c.step = 0.25f;
  return c;
}

OpCase global_case(const std::string& name, const Shape& x) {
  OpCase c;
  c.name = "global_avg_pool/" + name;
  c.op = graph::GlobalAvgPool{};
  c.inputs = [x](Rng& rng) { return std::vector{uniform(x, rng)}; };
  c.run = [](std::span<const Tensor> inputs) { return global_avg_pool(inputs[0]); };
  c.plain = [s = global_pool_shape(x)](std::span<const Tensor> inputs, const Tensor& grad) {
    return plain_avg(s, inputs, grad);
  };
  c.tolerance = 1e-5;
  c.why = "a sum over the image in another order";
  c.step = 0.25f;
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> pool_cases() {
  const Padding same = Padding::same();
  return {
      max_case("2x2", {3, 6, 8, 12}),
      max_case("2x2_odd_image", {2, 7, 5, 17}),
      max_case("2x2_same", {2, 5, 7, 3}, {.padding = same}),
      max_case("1x1_image_same", {2, 1, 1, 5}, {.padding = same}),
      max_case("3x3_stride_2_same", {2, 8, 7, 16}, {.kernel_h = 3, .kernel_w = 3, .padding = same}),
      max_case(
          "3x3_stride_1_symmetric", {2, 5, 6, 1},
          {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .padding = Padding::symmetric(1)}),
      max_case("2x2_stride_3", {2, 8, 9, 33}, {.stride_h = 3, .stride_w = 3}),
      max_case("1x3", {1, 4, 9, 5}, {.kernel_h = 1, .kernel_w = 3, .stride_h = 1, .stride_w = 3}),
      max_case("more_than_256_elements", {2, 17, 20, 3},
               {.kernel_h = 17, .kernel_w = 17, .stride_h = 17, .stride_w = 3}),
      avg_case("2x2", {3, 6, 8, 12}),
      avg_case("2x2_odd_image", {2, 7, 5, 17}),
      avg_case("3x3_stride_1_same", {2, 5, 6, 5},
               {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .padding = same}),
      avg_case("3x3_stride_2_symmetric", {1, 9, 7, 16},
               {.kernel_h = 3, .kernel_w = 3, .padding = Padding::symmetric(1)}),
      avg_case("2x2_stride_3", {2, 8, 9, 33}, {.stride_h = 3, .stride_w = 3}),
      global_case("7x7x24", {3, 7, 7, 24}),
      global_case("3x5x17", {2, 3, 5, 17}),
      global_case("1x1x1", {1, 1, 1, 1}),

      large(max_case("tutorial", {128, 26, 26, 12})),
      large(max_case("conv_1", {128, 26, 26, 32})),
      large(max_case("conv_2", {128, 11, 11, 64})),
      large(avg_case("inception_3x3_stride_1", {8, 17, 17, 192},
                     {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .padding = same})),
      large(global_case("dscnn", {128, 7, 7, 24})),
      large(global_case("efficientnet", {16, 7, 7, 1280})),
  };
}

}  // namespace lathe::testing
