#include "op_cases.h"

#include "../../core/kernels/reference/clamp.h"
#include "../../core/kernels/reference/linear.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

namespace lathe::testing {
namespace {

Plain plain_linear(const graph::Linear& op, std::span<const Tensor> inputs, const Tensor& grad) {
  namespace reference = kernels::reference;
  const Tensor &x = inputs[0], &weight = inputs[1];
  const kernels::LinearShape shape = linear_shape(x.shape(), weight.shape());
  const bool bias = inputs.size() > 2;
  Plain plain{Tensor::empty({shape.n, shape.o}), {Tensor::empty(x.shape()), Tensor::empty(weight.shape())}};
  if (bias) plain.grads.push_back(Tensor::empty({shape.o}));
  reference::linear_forward(shape, read(x), read(weight), bias ? read(inputs[2]) : nullptr,
                            write(plain.output));
  reference::clamp(clamp_of(op.activation), plain.output.size(), write(plain.output));
  Tensor masked = Tensor::empty(grad.shape());
  reference::clamp_backward(clamp_of(op.activation), grad.size(), write(plain.output), read(grad),
                            write(masked));
  reference::linear_backward_data(shape, write(masked), read(weight), write(plain.grads[0]));
  reference::linear_backward_weights(shape, read(x), write(masked), write(plain.grads[1]),
                                     bias ? write(plain.grads[2]) : nullptr);
  return plain;
}

enum class Bias { no, yes };

OpCase linear_case(const std::string& name, kernels::LinearShape s, const graph::Linear& op = {},
                   Bias bias = Bias::yes) {
  OpCase c;
  c.name = "linear/" + name;
  c.op = op;
  c.inputs = [=](Rng& rng) {
    // As for conv2d: with an activation, away from its kinks.
    const bool kinks = op.activation != Activation::none;
    const float range = kinks ? 1 / static_cast<float>(s.i) : 1;
    std::vector<Tensor> inputs{uniform({s.n, s.i}, rng), uniform({s.o, s.i}, rng, -range, range)};
    if (bias == Bias::no) return inputs;
    inputs.push_back(uniform({s.o}, rng));
    if (kinks)
      for (int o = 0; float& value : inputs[2].mutable_span<float>())
        value = static_cast<float>(o++ % 3 * 6 - 3);
    return inputs;
  };
  c.run = [op](std::span<const Tensor> inputs) {
    return linear(inputs[0], inputs[1], inputs.size() > 2 ? inputs[2] : Tensor{}, op);
  };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) {
    return plain_linear(op, inputs, grad);
  };
  c.tolerance = 1e-5;
  c.why = "sums of up to a few thousand products in float, in another order";
  c.step = 0.25f;
  c.flops = 2.0 * static_cast<double>(s.n * s.i * s.o);
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> linear_cases() {
  return {
      linear_case("one_number", {.n = 1, .i = 1, .o = 1}),
      linear_case("24_to_10", {.n = 5, .i = 24, .o = 10}),
      linear_case("tails", {.n = 7, .i = 37, .o = 11}),
      linear_case("one_sample_relu", {.n = 1, .i = 50, .o = 17}, {.activation = Activation::relu}),
      linear_case("relu6", {.n = 13, .i = 65, .o = 33}, {.activation = Activation::relu6}),
      linear_case("no_bias", {.n = 6, .i = 16, .o = 3}, {}, Bias::no),
      linear_case("wide", {.n = 9, .i = 200, .o = 300}),
      linear_case("300_to_301_relu", {.n = 17, .i = 300, .o = 301}, {.activation = Activation::relu}),

      large(linear_case("tutorial", {.n = 128, .i = 2028, .o = 10})),
      large(linear_case("conv", {.n = 128, .i = 1600, .o = 10})),
      large(linear_case("dscnn", {.n = 128, .i = 24, .o = 10})),
      large(linear_case("mlp_784_to_512", {.n = 128, .i = 784, .o = 512}, {.activation = Activation::relu})),
      large(
          linear_case("efficientnet_head", {.n = 16, .i = 1280, .o = 512}, {.activation = Activation::relu})),
  };
}

}  // namespace lathe::testing
