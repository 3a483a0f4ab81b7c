#include "op_cases.h"

#include "../../core/kernels/reference/rows.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <vector>

namespace lathe::testing {
namespace {

namespace reference = kernels::reference;
using reference::RowsShape;

RowsShape rows_of(const Shape& shape) { return {.rows = shape.size() / shape[-1], .classes = shape[-1]}; }

OpCase softmax_case(const std::string& name, const Shape& shape, float range = 3) {
  OpCase c;
  c.name = "softmax/" + name;
  c.op = graph::Softmax{};
  c.inputs = [=](Rng& rng) { return std::vector{uniform(shape, rng, -range, range)}; };
  c.run = [](std::span<const Tensor> inputs) { return softmax(inputs[0]); };
  c.plain = [](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::softmax(rows_of(grad.shape()), read(in[0]), write(plain.output));
    reference::softmax_backward(rows_of(grad.shape()), read(in[0]), read(grad), write(plain.grads[0]));
    return plain;
  };
  return c;
}

OpCase log_softmax_case(const std::string& name, const Shape& shape, float range = 3) {
  OpCase c;
  c.name = "log_softmax/" + name;
  c.op = graph::LogSoftmax{};
  c.inputs = [=](Rng& rng) { return std::vector{uniform(shape, rng, -range, range)}; };
  c.run = [](std::span<const Tensor> inputs) { return log_softmax(inputs[0]); };
  c.plain = [](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(grad.shape())}};
    reference::log_softmax(rows_of(grad.shape()), read(in[0]), write(plain.output));
    reference::log_softmax_backward(rows_of(grad.shape()), read(in[0]), read(grad), write(plain.grads[0]));
    return plain;
  };
  c.tolerance = 2e-6;
  if (range > 10) c.gradient_tolerance = 5e-3;  // differences of large rounded outputs
  return c;
}

/// The gradient of a loss times the gradient given to it.
Plain plain_loss(double loss, Tensor dx, const Tensor& grad) {
  for (float& value : dx.mutable_span<float>()) value *= grad.item();
  return {Tensor::full({}, static_cast<float>(loss)), {dx, {}}};
}

OpCase loss_case(std::string name, graph::Op op) {
  OpCase c;
  c.name = std::move(name);
  c.op = std::move(op);
  c.tolerance = 2e-6;
  c.constants = 0b10;
  c.gradient_tolerance = 1e-4;
  return c;
}

OpCase cross_entropy_case(const std::string& name, const Shape& shape, float smoothing, float range = 3) {
  OpCase c = loss_case("cross_entropy/" + name, graph::CrossEntropy{smoothing});
  c.inputs = [=](Rng& rng) {
    Tensor labels = Tensor::empty({shape[0]}, Dtype::i32);
    for (std::int32_t& label : labels.mutable_span<std::int32_t>())
      label = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(shape[1])));
    return std::vector{uniform(shape, rng, -range, range), labels};
  };
  c.run = [=](std::span<const Tensor> in) { return cross_entropy(in[0], in[1], smoothing); };
  c.plain = [=](std::span<const Tensor> in, const Tensor& grad) {
    Tensor dx = Tensor::empty(shape);
    const double loss =
        reference::cross_entropy(rows_of(shape), read(in[0]), in[1].span<std::int32_t>().data(),
                                 static_cast<double>(smoothing), write(dx));
    return plain_loss(loss, dx, grad);
  };
  return c;
}

OpCase kl_case(const std::string& name, const Shape& shape, float temperature) {
  OpCase c = loss_case("kl_divergence/" + name, graph::KlDivergence{temperature});
  c.inputs = [=](Rng& rng) { return std::vector{uniform(shape, rng, -3, 3), uniform(shape, rng, -3, 3)}; };
  c.run = [=](std::span<const Tensor> in) { return kl_divergence(in[0], in[1], temperature); };
  c.plain = [=](std::span<const Tensor> in, const Tensor& grad) {
    Tensor dx = Tensor::empty(shape);
    const double loss = reference::kl_divergence(rows_of(shape), read(in[0]), read(in[1]),
                                                 static_cast<double>(temperature), write(dx));
    return plain_loss(loss, dx, grad);
  };
  c.gradient_tolerance = 3e-4;  // the factor T^2 scales the rounding of the loss, too
  return c;
}

OpCase squared_error_case(const std::string& name, const Shape& shape) {
  OpCase c = loss_case("mean_squared_error/" + name, graph::MeanSquaredError{});
  c.inputs = [=](Rng& rng) { return std::vector{uniform(shape, rng), uniform(shape, rng)}; };
  c.run = [](std::span<const Tensor> in) { return mean_squared_error(in[0], in[1]); };
  c.plain = [=](std::span<const Tensor> in, const Tensor& grad) {
    Tensor dx = Tensor::empty(shape);
    const double loss = reference::mean_squared_error(shape.size(), read(in[0]), read(in[1]), write(dx));
    return plain_loss(loss, dx, grad);
  };
  c.step = 0.25f;
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> loss_cases() {
  return {
      softmax_case("10", {5, 10}),
      softmax_case("1", {3, 1}),
      softmax_case("rank_4", {2, 3, 2, 17}),
      softmax_case("large_logits", {3, 33}, 60),
      softmax_case("many", {4000, 5}),
      log_softmax_case("10", {5, 10}),
      log_softmax_case("1", {3, 1}),
      log_softmax_case("large_logits", {3, 33}, 60),
      log_softmax_case("many", {3000, 7}),
      cross_entropy_case("10", {6, 10}, 0),
      cross_entropy_case("2", {7, 2}, 0),
      cross_entropy_case("smoothing_0.1", {6, 10}, 0.1f),
      cross_entropy_case("large_logits", {4, 40}, 0.2f, 60),
      cross_entropy_case("many", {2000, 10}, 0),
      kl_case("temperature_1", {5, 10}, 1),
      kl_case("temperature_4", {5, 10}, 4),
      kl_case("many", {2000, 10}, 2),
      squared_error_case("small", {3, 5}),
      squared_error_case("many", {7, 5001}),

      large(softmax_case("imagenet", {128, 1000})),
      large(cross_entropy_case("mnist", {128, 10}, 0)),
      large(cross_entropy_case("imagenet", {128, 1000}, 0.1f)),
      large(kl_case("mnist", {128, 10}, 4)),
  };
}

}  // namespace lathe::testing
