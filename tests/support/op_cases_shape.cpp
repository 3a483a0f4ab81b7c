#include "op_cases.h"

#include "../../core/kernels/reference/shape.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <algorithm>
#include <vector>

namespace lathe::testing {
namespace {

namespace reference = kernels::reference;

OpCase exact(std::string name, graph::Op op) {
  OpCase c;
  c.name = std::move(name);
  c.op = std::move(op);
  c.tolerance = 0;
  c.why = "nothing: elements are only moved";
  c.step = 0.25f;
  return c;
}

OpCase reshape_case(const std::string& name, const Shape& shape, std::vector<std::int64_t> dims) {
  OpCase c = exact("reshape/" + name, graph::Reshape{dims});
  c.inputs = [shape](Rng& rng) { return std::vector{uniform(shape, rng)}; };
  c.run = [dims](std::span<const Tensor> inputs) { return reshape(inputs[0], dims); };
  c.plain = [shape](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(shape)}};
    std::ranges::copy(in[0].span<float>(), write(plain.output));
    std::ranges::copy(grad.span<float>(), write(plain.grads[0]));
    return plain;
  };
  return c;
}

OpCase concat_case(const std::string& name, const Shape& shape, std::vector<std::int64_t> widths) {
  OpCase c = exact("concat/" + name, graph::Concat{});
  c.inputs = [=](Rng& rng) {
    std::vector<Tensor> inputs;
    for (std::int64_t width : widths) inputs.push_back(uniform(shape.with(-1, width), rng));
    return inputs;
  };
  c.run = [](std::span<const Tensor> inputs) { return concat(inputs); };
  c.plain = [=](std::span<const Tensor> in, const Tensor& grad) {
    const std::int64_t rows = grad.size() / grad.shape()[-1];
    Plain plain{Tensor::empty(grad.shape()), {}};
    std::vector<const float*> from;
    std::vector<float*> to;
    for (const Tensor& input : in) {
      from.push_back(read(input));
      plain.grads.push_back(Tensor::empty(input.shape()));
      to.push_back(write(plain.grads.back()));
    }
    reference::concat(rows, widths, from, write(plain.output));
    reference::concat_backward(rows, widths, read(grad), to);
    return plain;
  };
  return c;
}

OpCase pad_case(const std::string& name, const Shape& shape, const graph::Pad& op) {
  OpCase c = exact("pad/" + name, op);
  c.inputs = [shape](Rng& rng) { return std::vector{uniform(shape, rng)}; };
  c.run = [op](std::span<const Tensor> inputs) { return pad(inputs[0], op); };
  const reference::PadShape sizes{.n = shape[0],
                                  .h = shape[1],
                                  .w = shape[2],
                                  .c = shape[3],
                                  .top = op.top,
                                  .bottom = op.bottom,
                                  .left = op.left,
                                  .right = op.right};
  c.plain = [=](std::span<const Tensor> in, const Tensor& grad) {
    Plain plain{Tensor::empty(grad.shape()), {Tensor::empty(shape)}};
    reference::pad(sizes, read(in[0]), write(plain.output));
    reference::pad_backward(sizes, read(grad), write(plain.grads[0]));
    return plain;
  };
  return c;
}

}  // namespace

std::vector<OpCase> shape_cases() {
  return {
      reshape_case("flatten", {3, 2, 2, 5}, {20}),
      reshape_case("image", {3, 20}, {2, 2, 5}),
      reshape_case("same", {3, 20}, {20}),
      concat_case("2", {2, 3, 3, 1}, {4, 7}),
      concat_case("4", {5, 1}, {1, 16, 3, 8}),
      concat_case("1", {5, 1}, {6}),
      concat_case("many_rows", {9, 40, 31, 1}, {3, 5}),
      pad_case("1_around", {2, 3, 4, 5}, {1, 1, 1, 1}),
      pad_case("uneven", {2, 5, 3, 1}, {0, 2, 3, 1}),
      pad_case("nothing", {1, 2, 2, 3}, {}),
  };
}

}  // namespace lathe::testing
