#include "support/errors.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lathe {
namespace {

Tensor zeros(const Shape& shape) { return Tensor::zeros(shape); }

TEST_CASE("a convolution of wrong shapes names the operation and both shapes") {
  const Tensor x = zeros({8, 32, 32, 3});
  CHECK_ERROR(conv2d(x, zeros({16, 3, 3, 4}), {}),
              "conv2d: input has 3 channels, weight expects 4 (input [8,32,32,3], weight [16,3,3,4]");
  CHECK_ERROR(conv2d(x, zeros({16, 3, 3, 3}), zeros({15})), "bias");
  CHECK_ERROR(conv2d(zeros({8, 32, 3}), zeros({16, 3, 3, 3}), {}), "conv2d");
  CHECK_ERROR(conv2d(zeros({1, 2, 2, 3}), zeros({4, 3, 3, 3}), {}), "does not fit");
  CHECK_ERROR(conv2d(x, zeros({16, 3, 3, 3}), {}, {.stride_h = 0}), "stride");
  CHECK_ERROR(conv2d(zeros({1, 4, 4, 4}), zeros({3, 3, 3, 2}), {}, {.groups = 2}), "groups");
  CHECK_ERROR(conv2d({}, zeros({16, 3, 3, 3}), {}), "must not be empty");
  CHECK_ERROR(conv2d(Tensor::zeros({1, 4, 4, 1}, Dtype::i32), zeros({1, 3, 3, 1}), {}),
              "must be f32, given i32");
}

TEST_CASE("a linear layer of wrong shapes names the operation and both shapes") {
  CHECK_ERROR(linear(zeros({8, 5}), zeros({3, 6}), {}), "linear: input has 5 features, weight expects 6");
  CHECK_ERROR(linear(zeros({8, 5}), zeros({3, 5}), zeros({4})), "bias");
  CHECK_ERROR(linear(zeros({8, 5, 1}), zeros({3, 5}), {}), "linear");
  CHECK_ERROR(linear(zeros({8, 5}), {}, {}), "must not be empty");
}

TEST_CASE("pooling of wrong shapes names the operation") {
  CHECK_ERROR(max_pool2d(zeros({1, 1, 4, 3})), "max_pool2d");
  CHECK_ERROR(max_pool2d(zeros({4, 4, 3})), "max_pool2d");
  CHECK_ERROR(max_pool2d(zeros({1, 4, 4, 3}), {.stride_h = 0}), "stride");
  CHECK_ERROR(avg_pool2d(zeros({1, 4, 4, 3}), {.padding = Padding::symmetric(2)}), "avg_pool2d: padding");
  CHECK_ERROR(global_avg_pool(zeros({4, 3})), "global_avg_pool");
  CHECK_ERROR(global_avg_pool(Tensor::zeros({1, 2, 2, 3}, Dtype::u8)), "must be f32, given u8");
}

TEST_CASE("the first of equal elements takes the gradient of a maximum") {
  Tensor x = Tensor::full({1, 2, 2, 1}, 3);
  x.set_requires_grad(true);
  max_pool2d(x).backward(Tensor::full({1, 1, 1, 1}, 5));
  const Tensor grad = x.grad();
  CHECK(std::ranges::equal(grad.span<float>(), std::array{5.0f, 0.0f, 0.0f, 0.0f}));
}

TEST_CASE("what is not a number is not hidden by a fused activation or a maximum") {
  const Tensor x = Tensor::from({1, 2, std::numeric_limits<float>::quiet_NaN(), 4}, {1, 2, 2, 1});
  for (const Activation activation : {Activation::relu, Activation::relu6}) {
    const Tensor y = conv2d(x, Tensor::full({1, 2, 2, 1}, 1), {}, {.activation = activation});
    CHECK(std::isnan(y.item()));
    const Tensor z = linear(x.view({2, 2}), Tensor::full({3, 2}, 1), {}, {.activation = activation});
    CHECK(z.span<float>()[0] == 3);
    CHECK(std::isnan(z.span<float>()[3]));
  }
  CHECK(std::isnan(max_pool2d(x).item()));
}

}  // namespace
}  // namespace lathe
