#include "../kernels/quantization.h"

#include "inputs.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/graph/quantization.h>

#include <array>
#include <vector>

namespace lathe {
namespace {

kernels::IntegerSteps steps_of(const graph::FakeQuantize& op) {
  const graph::Quantization parameters = graph::activation_parameters({op.min, op.max}, op.bits);
  const graph::Codes codes = graph::activation_codes(op.bits);
  return {.scale = parameters.scale[0],
          .zero_point = parameters.zero_point,
          .low = codes.low,
          .high = codes.high,
          .average = op.average};
}

Grads straight_through(const Node&, const Tensor& grad) { return {grad}; }

Grads fake_quantize_backward(const Node& node, const Tensor& grad) {
  Tensor dx = reuse(grad);
  kernels::fake_quantize_backward(grad.size(), read(grad), node.saved[0].span<std::uint8_t>().data(),
                                  write(dx));
  Grads grads(node.input_shapes.size());
  grads[0] = dx;
  return grads;
}

}  // namespace

Tensor fake_quantize_weight(const Tensor& x, const graph::FakeQuantizeWeight& op) {
  Tensor y = Tensor::empty(infer_f32(op, {&x}));
  const std::int64_t rows = op.per_tensor ? 1 : x.shape()[0];
  if (x.size() > 0) kernels::fake_quantize_weight(rows, x.size() / rows, read(x), write(y));
  return record(op, {&x, 1}, y, {}, straight_through);
}

Tensor fake_quantize(const Tensor& x, const graph::FakeQuantize& op, Extremes* seen, const Tensor& slack) {
  Tensor y = Tensor::empty(slack ? infer_f32(op, {&x, &slack}) : infer_f32(op, {&x}));
  Tensor inside;
  if (needs_grad({&x})) inside = Tensor::empty(x.shape(), Dtype::u8);
  std::array<float, 2> extremes{seen != nullptr ? seen->min : 0, seen != nullptr ? seen->max : 0};
  kernels::fake_quantize_forward(steps_of(op), x.size(), read(x), write(y),
                                 inside ? inside.mutable_span<std::uint8_t>().data() : nullptr,
                                 seen != nullptr ? extremes.data() : nullptr);
  if (slack)
    kernels::fake_quantize_rescaled(steps_of(op), slack.size(), read(slack), x.size(), read(x), write(y));
  if (seen != nullptr) *seen = {extremes[0], extremes[1]};
  return record(op, std::array{x, slack}, y, inside ? std::vector<Tensor>{inside} : std::vector<Tensor>{},
                fake_quantize_backward);
}

}  // namespace lathe
