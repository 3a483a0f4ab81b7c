#include "../../core/kernels/simd/simd.h"
#include "../../runtime/kernels/fixed_point.h"
#include "support/errors.h"

#include <lathe/base/random.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/graph/quantization.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace lathe;
using graph::FakeQuantize;
using graph::FakeQuantizeWeight;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> elements(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

Tensor row(std::vector<float> x) {
  const auto n = static_cast<std::int64_t>(x.size());
  return Tensor::from(std::span<const float>(x), {n});
}

/// What quantizing and dequantizing in the runtime makes of x.
float through_integers(float x, const graph::Quantization& q) {
  const float scale = q.scale[0];
  return scale * static_cast<float>(runtime::to_code(x * (1.f / scale), q.zero_point) - q.zero_point);
}

}  // namespace

TEST_CASE("fake quantization is what the runtime's integers are, to the bit, at every level") {
  Rng rng(3);
  for (int level = 0; level < kernels::simd::kLevels; ++level) {  // ends with the default
    if (kernels::simd::kernels_of_level(level) == nullptr) continue;
    kernels::simd::use_level(level);
    for (int round = 0; round < 50; ++round) {
      const FakeQuantize op{.min = round % 3 == 0 ? 0 : -rng.uniform(0, 4), .max = rng.uniform(0, 4)};
      const graph::Quantization q = graph::activation_parameters({op.min, op.max}, 8);
      Tensor x = Tensor::empty({1000});
      rng.fill_uniform(x.mutable_span<float>(), op.min - 0.1f, op.max + 0.1f);
      // Halves, as near as floats come to them, from both sides.
      for (std::size_t i = 0; i < 512; ++i) {
        float v = (static_cast<float>(i) - 255.5f) * q.scale[0];
        if (i % 3 == 1) v = std::nextafter(v, 1e9f);
        if (i % 3 == 2) v = std::nextafter(v, -1e9f);
        x.mutable_span<float>()[i] = v;
      }
      const Tensor y = fake_quantize(x, op);
      for (std::size_t i = 0; i < 1000; ++i)
        CHECK(y.span<float>()[i] == through_integers(x.span<float>()[i], q));
    }
  }
}

TEST_CASE("the gradient passes where nothing is cut off, the ends included") {
  Tensor x = row({-3, -1, 0, 1, 1.01f, 9});
  x.set_requires_grad(true);
  fake_quantize(x, {.min = -1, .max = 1, .bits = 16}).backward(row({1, 2, 3, 4, 5, 6}));
  CHECK(elements(x.grad()) == std::vector<float>{0, 2, 3, 4, 0, 0});
}

TEST_CASE("quantizing twice is quantizing once") {
  Rng rng(5);
  Tensor x = Tensor::empty({40, 25});
  rng.fill_uniform(x.mutable_span<float>(), -2, 3);
  for (const FakeQuantize& op :
       {FakeQuantize{.min = -1.3f, .max = 2}, FakeQuantize{.max = 2.9f, .bits = 16}}) {
    const Tensor once = fake_quantize(x, op);
    CHECK(elements(fake_quantize(once, op)) == elements(once));
  }
  // Weights: the scale is that of the quantized weight, within rounding; the integers are the same.
  const Tensor once = fake_quantize_weight(x), twice = fake_quantize_weight(once);
  for (std::size_t i = 0; i < elements(x).size(); ++i)
    CHECK(twice.span<float>()[i] == doctest::Approx(once.span<float>()[i]).epsilon(1e-6));
}

TEST_CASE("the extremes that were seen are those of all batches and what was there") {
  Extremes seen{-0.5f, 0.25f};
  std::vector<float> many(100003, 0.1f);
  fake_quantize(row(many), {}, &seen);
  CHECK(seen.min == -0.5f);
  CHECK(seen.max == 0.25f);
  many[77777] = -7, many[100002] = 4;
  fake_quantize(row(many), {}, &seen);
  CHECK(seen.min == -7);
  CHECK(seen.max == 4);
}

TEST_CASE("a weight's largest element keeps its value, zeros stay zeros") {
  const Tensor x = Tensor::from({0.5f, -1, 0.001f, 0, 0, 0, 2, 1e-5f, -3}, {3, 3});
  const std::vector<float> y = elements(fake_quantize_weight(x));
  CHECK(y[1] == doctest::Approx(-1));
  CHECK(y[2] == 0);
  for (std::size_t i = 3; i < 6; ++i) CHECK(y[i] == 0);
  CHECK(y[8] == doctest::Approx(-3));
  const std::vector<float> z = elements(fake_quantize_weight(x, {.per_tensor = true}));
  CHECK(z[1] == doctest::Approx(-3 * 42. / 127));
}

TEST_CASE("averages of integers are rounded as integers are") {
  // The range -1.28..1.27 has scale 0.01, zero point 0; 0..2.55 has zero point -128.
  const std::vector<float> halves = {0.005f, -0.005f, 0.015f, -0.015f, 0.0149999f, 0.0125f};
  CHECK(elements(fake_quantize(row(halves), {.min = -1.28f, .max = 1.27f, .average = true}))[4] ==
        doctest::Approx(0.02));
  // Codes below zero: halves go down.
  const std::vector<float> y =
      elements(fake_quantize(row(halves), {.min = 0, .max = 2.55f, .average = true}));
  CHECK(y[0] == 0);
  CHECK(y[2] == doctest::Approx(0.01));
  CHECK(y[5] == doctest::Approx(0.01));
  CHECK(elements(fake_quantize(row(halves), {.min = 0, .max = 2.55f}))[0] == doctest::Approx(0.01));
}

TEST_CASE("what is not finite is not hidden by integers") {
  CHECK(std::isnan(elements(fake_quantize(row({kNan, 1}), {}))[0]));
  CHECK(std::isnan(elements(fake_quantize(row({kNan, 1}), {.average = true}))[0]));
  CHECK(std::isnan(elements(fake_quantize_weight(Tensor::from({kNan, 1}, {1, 2})))[0]));
  CHECK(elements(fake_quantize(row({INFINITY, -INFINITY}), {.min = -1, .max = 1}))[0] > 0.99f);
}

TEST_CASE("operations of quantization refuse what does not fit") {
  const Tensor x = Tensor::zeros({4, 3});
  CHECK_ERROR(fake_quantize(x, {.min = 0.5f, .max = 1}),
              "fake_quantize: the range must be finite and include 0");
  CHECK_ERROR(fake_quantize(x, {.min = -1, .max = kNan}), "given -1 to nan");
  CHECK_ERROR(fake_quantize(x, {.bits = 4}), "fake_quantize: bits must be 8 or 16, given 4");
  CHECK_ERROR(fake_quantize_weight(Tensor::full({}, 1)), "the weight must be [O,...], given a scalar");
  CHECK_ERROR(fake_quantize(Tensor::zeros({3}, Dtype::u8), {}), "inputs must be f32");
  CHECK_FALSE(graph::deployable(FakeQuantize{}));
  CHECK_FALSE(graph::deployable(FakeQuantizeWeight{}));
}
