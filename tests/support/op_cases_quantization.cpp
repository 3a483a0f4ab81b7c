#include "op_cases.h"

#include "../../core/kernels/reference/quantization.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>
#include <lathe/graph/quantization.h>

namespace lathe::testing {
namespace {

OpCase weight_case(const std::string& name, const Shape& shape, const graph::FakeQuantizeWeight& op) {
  OpCase c;
  c.name = "fake_quantize_weight/" + name;
  c.op = op;
  c.inputs = [=](Rng& rng) {
    Tensor x = uniform(shape, rng, -0.3f, 0.3f);
    // A channel of zeros.
    for (float& w : x.mutable_span<float>().first(static_cast<std::size_t>(shape.size() / shape[0]))) w = 0;
    return std::vector<Tensor>{x};
  };
  c.run = [op](std::span<const Tensor> inputs) { return fake_quantize_weight(inputs[0], op); };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) {
    const Tensor& x = inputs[0];
    const std::int64_t rows = op.per_tensor ? 1 : x.shape()[0];
    Plain plain{Tensor::empty(x.shape()), {grad}};
    kernels::reference::fake_quantize_weight(rows, x.size() / rows, read(x), write(plain.output));
    return plain;
  };
  c.tolerance = 0;
  c.why = "integers are the same bits";
  c.not_derivatives = 0b1;
  return c;
}

/// Inputs reach beyond the range on both sides.
OpCase activation_case(const std::string& name, const Shape& shape, const graph::FakeQuantize& op) {
  OpCase c;
  c.name = "fake_quantize/" + name;
  c.op = op;
  c.inputs = [=](Rng& rng) {
    return std::vector<Tensor>{uniform(shape, rng, 1.2f * op.min - 0.01f, 1.2f * op.max + 0.01f)};
  };
  c.run = [op](std::span<const Tensor> inputs) { return fake_quantize(inputs[0], op); };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) {
    const graph::Quantization parameters = graph::activation_parameters({op.min, op.max}, op.bits);
    const graph::Codes codes = graph::activation_codes(op.bits);
    Plain plain{Tensor::empty(inputs[0].shape()), {Tensor::empty(inputs[0].shape())}};
    kernels::reference::fake_quantize({.scale = parameters.scale[0],
                                       .zero_point = parameters.zero_point,
                                       .low = codes.low,
                                       .high = codes.high,
                                       .average = op.average},
                                      inputs[0].size(), read(inputs[0]), read(grad), write(plain.output),
                                      write(plain.grads[0]));
    return plain;
  };
  c.tolerance = 0;
  c.why = "integers are the same bits";
  c.not_derivatives = 0b1;
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> quantization_cases() {
  return {
      weight_case("one", {1, 1}, {}),
      weight_case("linear", {10, 37}, {}),
      weight_case("channels", {12, 3, 3, 5}, {}),
      weight_case("tensor", {12, 3, 3, 5}, {.per_tensor = true}),
      activation_case("one", {1, 1}, {}),
      activation_case("positive", {3, 5, 5, 7}, {.min = 0, .max = 5}),
      activation_case("both_signs", {3, 5, 5, 7}, {.min = -0.7f, .max = 2.3f}),
      activation_case("negative", {3, 67}, {.min = -3, .max = 0}),
      activation_case("bits_16", {3, 67}, {.min = -3, .max = 5, .bits = 16}),
      activation_case("average", {3, 67}, {.min = -0.7f, .max = 2.3f, .average = true}),
      activation_case("several_parts", {5, 10007}, {.min = -1, .max = 1}),
      activation_case("nothing", {3, 67}, {.min = 0, .max = 0}),

      large(weight_case("conv2", {64, 3, 3, 32}, {})),
      large(activation_case("conv1_128", {128, 26, 26, 32}, {.min = 0, .max = 3})),
  };
}

}  // namespace lathe::testing
