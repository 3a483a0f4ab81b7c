#include "op_cases.h"

#include <cstddef>
#include <iterator>
#include <utility>

namespace lathe::testing {
namespace {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases;
  for (auto part : {conv_cases, linear_cases, pool_cases, elementwise_cases, norm_cases, shape_cases,
                    loss_cases, compression_cases, quantization_cases}) {
    std::vector<OpCase> more = part();
    std::ranges::move(more, std::back_inserter(cases));
  }
  return cases;
}

}  // namespace

std::span<const OpCase> op_cases() {
  static const std::vector<OpCase> cases = all_cases();
  return cases;
}

Tensor uniform(const Shape& shape, Rng& rng, float low, float high) {
  Tensor tensor = Tensor::empty(shape);
  rng.fill_uniform(tensor.mutable_span<float>(), low, high);
  return tensor;
}

Tensor spaced(const Shape& shape, Rng& rng, float gap) {
  Tensor tensor = Tensor::empty(shape);
  const std::span<float> out = tensor.mutable_span<float>();
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = (static_cast<float>(i) - static_cast<float>(out.size() / 2) + 0.5f) * gap;
  for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[rng.below(i)]);
  return tensor;
}

}  // namespace lathe::testing
