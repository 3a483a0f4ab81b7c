#include "../../core/kernels/simd/simd.h"
#include "support/op_cases.h"
#include "support/threads.h"

#include <doctest/doctest.h>

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/core/precision.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lathe {
namespace {

using testing::op_cases;
using testing::OpCase;

bool has_gradient(const OpCase& c, std::span<const Tensor> inputs, std::size_t i) {
  return (c.constants >> i & 1) == 0 && inputs[i].dtype() == Dtype::f32;
}

/// The case's inputs as leaves, each with a gradient already there: an op that assigns instead of adding is
/// found out.
struct Leaves {
  Leaves(const OpCase& c, Rng& rng) : inputs(c.inputs(rng)), before(inputs.size()) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!has_gradient(c, inputs, i)) continue;
      before[i] = testing::uniform(inputs[i].shape(), rng);
      inputs[i].set_requires_grad(true);
      inputs[i].set_grad(before[i].clone());
    }
  }
  std::vector<Tensor> inputs;
  std::vector<Tensor> before;
};

/// The largest difference relative to the largest magnitude (at least 1e-3, so that all-zero tensors can be
/// compared).
double difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0, scale = 1e-3;
  for (std::size_t i = 0; i < a.span<float>().size(); ++i) {
    const double x = static_cast<double>(a.span<float>()[i]), y = static_cast<double>(b.span<float>()[i]);
    worst = std::isfinite(x) ? std::max(worst, std::abs(x - y)) : INFINITY;
    scale = std::max(scale, std::abs(y));
  }
  return worst / scale;
}

struct Compared {
  std::string what;
  double difference;  ///< as of difference()
};

/// The output and the gradient of each input against the plain implementation.
std::vector<Compared> compare_with_plain(const OpCase& c) {
  Rng rng(1, hash_bits(c.name));
  Leaves leaves(c, rng);
  Tensor y = c.run(leaves.inputs);
  const Tensor grad = testing::uniform(y.shape(), rng);
  const testing::Plain plain = c.plain(leaves.inputs, grad);
  std::vector<Compared> result{{"output", difference(y, plain.output)}};
  y.backward(grad);
  for (std::size_t i = 0; i < leaves.inputs.size(); ++i) {
    const std::string what = "gradient of input " + std::to_string(i);
    const Tensor given = leaves.inputs[i].grad();
    if (!leaves.before[i]) {
      result.push_back({what + ", which has none", given ? INFINITY : 0});
      continue;
    }
    Tensor expected = plain.grads[i].clone();
    for (std::size_t k = 0; float& value : expected.mutable_span<float>())
      value += leaves.before[i].span<float>()[k++];
    result.push_back({what, difference(given, expected)});
  }
  return result;
}

/// sum(output * weights), in double.
double loss(const OpCase& c, std::span<const Tensor> inputs, const Tensor& weights) {
  const NoGrad no_grad;
  const Tensor y = c.run(inputs);
  double sum = 0;
  for (std::size_t i = 0; float value : y.span<float>())
    sum += static_cast<double>(value) * static_cast<double>(weights.span<float>()[i++]);
  return sum;
}

void check_gradient(const OpCase& c) {
  constexpr std::size_t kElements = 40;  // of each input
  Rng rng(2, hash_bits(c.name));
  Leaves leaves(c, rng);
  const Tensor y = c.run(leaves.inputs);
  const Tensor weights = testing::uniform(y.shape(), rng);
  y.backward(weights);
  for (std::size_t i = 0; i < leaves.inputs.size(); ++i) {
    if (!leaves.before[i] || (c.not_derivatives >> i & 1) != 0) continue;
    const Tensor after = leaves.inputs[i].grad();
    const std::span<float> elements = leaves.inputs[i].mutable_span<float>();
    for (std::size_t sample = 0; sample < std::min(kElements, elements.size()); ++sample) {
      const std::size_t k = elements.size() <= kElements ? sample : rng.below(elements.size());
      const float value = elements[k];
      const float up = value + c.step, down = value - c.step;
      elements[k] = up;
      const double above = loss(c, leaves.inputs, weights);
      elements[k] = down;
      const double below = loss(c, leaves.inputs, weights);
      elements[k] = value;
      const double expected = (above - below) / (static_cast<double>(up) - static_cast<double>(down));
      const double given = static_cast<double>(after.span<float>()[k]) -
                           static_cast<double>(leaves.before[i].span<float>()[k]);
      CAPTURE(i);
      CAPTURE(k);
      CAPTURE(expected);
      CAPTURE(given);
      CHECK(std::abs(given - expected) <= c.gradient_tolerance * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST_CASE("every operation equals its plain implementation at every level, for any number of threads") {
  for (int level = 0; level < kernels::simd::kLevels; ++level) {  // ends with the default
    if (kernels::simd::kernels_of_level(level) == nullptr) continue;
    kernels::simd::use_level(level);
    CAPTURE(level);
    for (const int threads : {1, 2, 3}) {
      const Threads scope(threads);
      CAPTURE(threads);
      for (const OpCase& c : op_cases()) {
        if (c.large) continue;
        CAPTURE(c.name);
        for (const Compared& compared : compare_with_plain(c)) {
          CAPTURE(compared.what);
          CHECK_MESSAGE(compared.difference <= c.tolerance, "tolerance for ", c.why);
        }
      }
    }
  }
}

/// To 8 bits of mantissa, to nearest, halves to even.
Tensor rounded(const Tensor& x) {
  Tensor result = x.clone();
  for (float& value : result.mutable_span<float>()) {
    int exponent = 0;
    const float mantissa = std::frexp(value, &exponent);
    value = std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
  }
  return result;
}

bool is_rounded(const OpCase& c, std::span<const Tensor> inputs) {
  if (!std::holds_alternative<graph::Conv2d>(c.op) && !std::holds_alternative<graph::Linear>(c.op))
    return false;
  const Shape& weight = inputs[1].shape();
  return weight[weight.rank() - 1] >= 16;
}

/// The case with its products in bf16. Those of two rounded numbers are exact in f32, so the tolerance stays;
/// the gradient of a bias is a sum of what is not rounded.
OpCase in_bf16(OpCase c) {
  c.run = [run = c.run](std::span<const Tensor> inputs) {
    const PrecisionScope scope(Precision::bf16);
    return run(inputs);
  };
  c.plain = [plain = c](std::span<const Tensor> inputs, const Tensor& grad) {
    testing::Plain exact = plain.plain(inputs, grad);
    if (!is_rounded(plain, inputs)) return exact;
    std::vector<Tensor> rounded_inputs{rounded(inputs[0]), rounded(inputs[1])};
    if (inputs.size() > 2) rounded_inputs.push_back(inputs[2]);
    testing::Plain result = plain.plain(rounded_inputs, rounded(grad));
    if (inputs.size() > 2) result.grads[2] = exact.grads[2];
    return result;
  };
  return c;
}

TEST_CASE(
    "products in bf16 equal those of rounded numbers by plain loops, other operations stay as they are") {
  if (!is_supported(Precision::bf16)) {
    MESSAGE("this processor has no bf16");
    return;
  }
  int products = 0;
  for (const int threads : {1, 2, 3}) {
    const Threads scope(threads);
    CAPTURE(threads);
    for (const OpCase& c : op_cases()) {
      if (c.large) continue;
      CAPTURE(c.name);
      compare_with_plain(in_bf16(c));
      Rng rng(1);
      products += is_rounded(c, c.inputs(rng));
    }
  }
  CHECK(products >= 3 * 15);
}

TEST_CASE("every gradient equals central differences and is added to what is there") {
  const Threads scope(1);
  for (const OpCase& c : op_cases()) {
    if (c.large) continue;
    CAPTURE(c.name);
    check_gradient(c);
  }
}

TEST_CASE("every operation gives the same bytes when it is run again") {
  const Threads scope(2);
  for (const OpCase& c : op_cases()) {
    if (c.large) continue;
    CAPTURE(c.name);
    std::vector<std::vector<Tensor>> results;
    for (int run = 0; run < 2; ++run) {
      Rng rng(3, hash_bits(c.name));
      Leaves leaves(c, rng);
      const Tensor y = c.run(leaves.inputs);
      y.backward(testing::uniform(y.shape(), rng));
      std::vector<Tensor>& tensors = results.emplace_back();
      tensors.push_back(y);
      for (const Tensor& input : leaves.inputs)
        if (input.grad()) tensors.push_back(input.grad());
    }
    for (std::size_t i = 0; i < results[0].size(); ++i)
      CHECK(std::ranges::equal(results[0][i].raw(), results[1][i].raw()));
  }
}

TEST_CASE("there is a case for every operation but those between numbers and codes, which only plans have") {
  std::set<std::string_view> tried{"quantize", "dequantize"}, names;
  for (const OpCase& c : op_cases())
    if (!c.large) tried.insert(graph::name(c.op));
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (names.insert(graph::name(std::variant_alternative_t<I, graph::Op>{})), ...);
  }
  (std::make_index_sequence<std::variant_size_v<graph::Op>>());
  CHECK(tried == names);
}

TEST_CASE("names of cases are distinct") {
  std::vector<std::string> names;
  for (const OpCase& c : op_cases()) names.push_back(c.name);
  std::ranges::sort(names);
  CHECK(std::ranges::adjacent_find(names) == names.end());
}

}  // namespace
}  // namespace lathe
