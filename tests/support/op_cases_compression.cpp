#include "op_cases.h"

#include "../../core/kernels/reference/compression.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <utility>

namespace lathe::testing {
namespace {

OpCase mask_case(const std::string& name, const Shape& shape) {
  OpCase c;
  c.name = "apply_mask/" + name;
  c.op = graph::ApplyMask{};
  c.inputs = [=](Rng& rng) {
    std::vector<Tensor> inputs{uniform(shape, rng), Tensor::empty(shape)};
    for (float& kept : inputs[1].mutable_span<float>()) kept = rng.below(3) == 0 ? 1.0f : 0.0f;
    return inputs;
  };
  c.run = [](std::span<const Tensor> inputs) { return apply_mask(inputs[0], inputs[1]); };
  c.plain = [](std::span<const Tensor> inputs, const Tensor& grad) {
    Plain plain{Tensor::empty(inputs[0].shape()), {grad, {}}};
    kernels::reference::apply_mask(inputs[0].size(), read(inputs[0]), read(inputs[1]), write(plain.output));
    return plain;
  };
  c.tolerance = 0;
  c.why = "nothing is computed";
  c.constants = 0b10;
  c.not_derivatives = 0b01;
  return c;
}

/// Centroids about 1 apart in mixed order, weights within 0.3 of one: further than a step from where
/// membership changes.
OpCase lookup_case(const std::string& name, const Shape& x, const Shape& centroids,
                   const graph::ClusterLookup& op) {
  OpCase c;
  c.name = "cluster_lookup/" + name;
  c.op = op;
  c.inputs = [=](Rng& rng) {
    std::vector<Tensor> inputs{Tensor::empty(x), Tensor::empty(centroids)};
    const auto k = static_cast<std::size_t>(centroids[-1]);
    const std::span<float> weights = inputs[0].mutable_span<float>(), table = inputs[1].mutable_span<float>();
    const std::size_t books = table.size() / k, size = weights.size() / books;
    for (std::size_t b = 0; b < books; ++b) {
      const auto book = table.subspan(b * k, k);
      for (std::size_t j = 0; j < k; ++j)
        book[j] =
            static_cast<float>(j) - static_cast<float>(op.zero_first ? 0 : k / 2) + rng.uniform(0, 0.1f);
      if (op.zero_first) book[0] = 0;
      for (std::size_t j = k; j > 2; --j) std::swap(book[j - 1], book[1 + rng.below(j - 1)]);
      for (float& w : weights.subspan(b * size, size)) w = book[rng.below(k)] + rng.uniform(-0.3f, 0.3f);
    }
    return inputs;
  };
  c.run = [op](std::span<const Tensor> inputs) { return cluster_lookup(inputs[0], inputs[1], op); };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) {
    const Shape &weights = inputs[0].shape(), &table = inputs[1].shape();
    const std::int64_t books = table.rank() == 2 ? table[0] : 1;
    const kernels::LookupShape shape{
        .books = books, .size = weights.size() / books, .k = table[-1], .zero_first = op.zero_first};
    Plain plain{Tensor::empty(weights), {grad, Tensor::empty(table)}};
    std::vector<std::int32_t> index(static_cast<std::size_t>(weights.size()));
    kernels::reference::lookup_forward(shape, read(inputs[0]), read(inputs[1]), write(plain.output),
                                       index.data());
    kernels::reference::lookup_backward(shape, op.average, read(grad), index.data(), write(plain.grads[1]));
    return plain;
  };
  c.tolerance = 1e-6;
  c.why = "sums in double, in another order";
  c.not_derivatives = op.average ? 0b11u : 0b01u;
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

}  // namespace

std::vector<OpCase> compression_cases() {
  return {
      mask_case("one", {1, 1}),
      mask_case("tail", {7, 3, 3, 5}),
      lookup_case("two", {3, 5}, {2}, {}),
      lookup_case("one_centroid", {3, 5}, {1}, {}),
      lookup_case("sum_8", {10, 37}, {8}, {}),
      lookup_case("average_8", {10, 37}, {8}, {.average = true}),
      lookup_case("zero_first", {10, 37}, {8}, {.zero_first = true}),
      lookup_case("search_100", {30, 37}, {100}, {}),
      lookup_case("search_33", {30, 37}, {34}, {}),
      lookup_case("few_33", {30, 37}, {33}, {}),
      lookup_case("channels", {12, 3, 3, 1}, {12, 8}, {}),
      lookup_case("channels_average", {5, 3, 3, 8}, {5, 16}, {.average = true, .zero_first = true}),
      lookup_case("several_parts", {5, 10007}, {6}, {}),
      lookup_case("large_channels", {3, 17001}, {3, 6}, {}),

      large(mask_case("conv2", {64, 3, 3, 32})),
      large(lookup_case("conv2_8", {64, 3, 3, 32}, {8}, {})),
      large(lookup_case("conv2_16", {64, 3, 3, 32}, {16}, {})),
      large(lookup_case("conv2_256", {64, 3, 3, 32}, {256}, {})),
      large(lookup_case("efficientnet_16", {320, 1, 1, 1152}, {16}, {})),
  };
}

}  // namespace lathe::testing
