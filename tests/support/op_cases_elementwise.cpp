#include "op_cases.h"

#include "../../core/kernels/reference/elementwise.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <vector>

namespace lathe::testing {
namespace {

namespace reference = kernels::reference;
using graph::Activation;

/// Elements at odd multiples of 1/8, so never near the kinks at 0 and 6.
Tensor away_from_kinks(const Shape& shape, Rng& rng) { return spaced(shape, rng, 0.25f); }

OpCase activate_case(const std::string& name, Activation activation, const Shape& shape) {
  OpCase c;
  c.name = "activate/" + name;
  c.op = graph::Activate{activation};
  c.inputs = [shape](Rng& rng) { return std::vector{away_from_kinks(shape, rng)}; };
  c.run = [activation](std::span<const Tensor> inputs) { return activate(inputs[0], activation); };
  c.plain = [activation](std::span<const Tensor> inputs, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::activate(activation, grad.size(), read(inputs[0]), write(plain.output));
    reference::activate_backward(activation, grad.size(), read(inputs[0]), read(grad), write(plain.grads[0]));
    return plain;
  };
  return c;
}

OpCase add_case(const std::string& name, Activation activation, const Shape& shape) {
  OpCase c;
  c.name = "add/" + name;
  c.op = graph::Add{activation};
  c.inputs = [shape](Rng& rng) {
    // Even multiples of 1/8 beside odd ones: the sums are odd multiples again.
    Tensor b = Tensor::empty(shape);
    for (float& value : b.mutable_span<float>()) value = 0.25f * static_cast<float>(rng.below(16)) - 2;
    return std::vector{away_from_kinks(shape, rng), b};
  };
  c.run = [activation](std::span<const Tensor> inputs) { return add(inputs[0], inputs[1], activation); };
  c.plain = [activation](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::add(activation, grad.size(), read(in[0]), read(in[1]), write(plain.output));
    reference::add_backward(activation, grad.size(), read(in[0]), read(in[1]), read(grad),
                            write(plain.grads[0]));
    plain.grads.push_back(plain.grads[0]);
    return plain;
  };
  return c;
}

OpCase multiply_case(const std::string& name, const Shape& a, const Shape& b) {
  OpCase c;
  c.name = "multiply/" + name;
  c.op = graph::Multiply{};
  c.inputs = [a, b](Rng& rng) { return std::vector{uniform(a, rng), uniform(b, rng)}; };
  c.run = [](std::span<const Tensor> inputs) { return multiply(inputs[0], inputs[1]); };
  const reference::MultiplyShape shape{
      .n = a[0], .area = a.size() / a[0] / a[-1], .channels = a[-1], .gate = !(a == b)};
  c.plain = [shape](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(in[0].shape()), Tensor::empty(in[1].shape())}};
    reference::multiply(shape, read(in[0]), read(in[1]), write(plain.output));
    reference::multiply_backward(shape, read(in[0]), read(in[1]), read(grad), write(plain.grads[0]),
                                 write(plain.grads[1]));
    return plain;
  };
  c.tolerance = 1e-5;
  c.why = "the sum over the image in single precision";
  c.step = 0.25f;
  return c;
}

OpCase scale_case(const std::string& name, float factor, const Shape& shape) {
  OpCase c;
  c.name = "scale/" + name;
  c.op = graph::Scale{factor};
  c.inputs = [shape](Rng& rng) { return std::vector{uniform(shape, rng)}; };
  c.run = [factor](std::span<const Tensor> inputs) { return scale(inputs[0], factor); };
  c.plain = [factor](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::scale(factor, grad.size(), read(in[0]), write(plain.output));
    reference::scale(factor, grad.size(), read(grad), write(plain.grads[0]));
    return plain;
  };
  c.step = 0.25f;
  return c;
}

OpCase sum_case(const std::string& name, const Shape& shape) {
  OpCase c;
  c.name = "sum/" + name;
  c.op = graph::Sum{};
  c.inputs = [shape](Rng& rng) { return std::vector{uniform(shape, rng)}; };
  c.run = [](std::span<const Tensor> inputs) { return sum(inputs[0]); };
  c.plain = [](std::span<const Tensor> in, const Tensor& grad) {
    return Plain{Tensor::full({}, static_cast<float>(reference::sum(in[0].size(), read(in[0])))),
                 {Tensor::full(in[0].shape(), grad.item())}};
  };
  c.step = 0.5f;
  return c;
}

/// A generator of its own for each run, so that all runs drop the same elements.
OpCase dropout_case(const std::string& name, float rate, const Shape& shape) {
  static constexpr Rng::State kState{.seed = 7, .stream = 11, .position = 5};
  OpCase c;
  c.name = "dropout/" + name;
  c.op = graph::Dropout{rate};
  c.inputs = [shape](Rng& rng) { return std::vector{uniform(shape, rng)}; };
  c.run = [rate](std::span<const Tensor> inputs) {
    Rng rng(kState);
    return dropout(inputs[0], rate, rng);
  };
  c.plain = [rate](std::span<const Tensor> in, const Tensor& grad) {
    Rng rng(kState);
    const Tensor uniforms = uniform(grad.shape(), rng, 0, 1);
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::dropout(rate, grad.size(), read(in[0]), read(uniforms), write(plain.output));
    reference::dropout(rate, grad.size(), read(grad), read(uniforms), write(plain.grads[0]));
    return plain;
  };
  c.step = 0.25f;
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> elementwise_cases() {
  const Shape odd{3, 5, 7}, image{128, 26, 26, 32};
  return {
      activate_case("relu", Activation::relu, odd),
      activate_case("relu6", Activation::relu6, odd),
      activate_case("sigmoid", Activation::sigmoid, odd),
      activate_case("silu", Activation::silu, odd),
      activate_case("silu_many", Activation::silu, {3, 8192}),
      activate_case("relu_one", Activation::relu, {1}),
      add_case("plain", Activation::none, odd),
      add_case("relu", Activation::relu, odd),
      add_case("relu6", Activation::relu6, odd),
      add_case("silu", Activation::silu, odd),
      add_case("relu_many", Activation::relu, {2, 9001}),
      multiply_case("same_shape", {4, 9}, {4, 9}),
      multiply_case("image", {2, 3, 3, 5}, {2, 3, 3, 5}),
      multiply_case("gate", {3, 4, 5, 19}, {3, 19}),
      multiply_case("gate_1x1", {3, 4, 5, 19}, {3, 1, 1, 19}),
      multiply_case("gate_many", {2, 40, 30, 16}, {2, 16}),
      scale_case("minus_3", -3, odd),
      sum_case("odd", odd),
      sum_case("many_parts", {5, 9999}),
      dropout_case("0.5", 0.5f, {4, 51}),
      dropout_case("0.1_many", 0.1f, {3, 7001}),
      dropout_case("0", 0, {10}),

      large(activate_case("relu_conv", Activation::relu, image)),
      large(activate_case("silu_efficientnet", Activation::silu, {16, 112, 112, 32})),
      large(add_case("relu_resnet", Activation::relu, {16, 56, 56, 64})),
      large(multiply_case("gate_efficientnet", {16, 56, 56, 96}, {16, 96})),
      large(dropout_case("0.5_conv", 0.5f, {128, 1600})),
  };
}

}  // namespace lathe::testing
