#include "support/errors.h"
#include "support/op_cases.h"

#include <lathe/core/ops.h>
#include <lathe/core/precision.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace lathe {
namespace {

TEST_CASE("a precision has a name, and an unknown name an error that lists them") {
  for (const Precision precision : {Precision::f32, Precision::bf16})
    CHECK(parse_precision(to_string(precision)) == precision);
  CHECK_ERROR(parse_precision("f16"), "there is no precision 'f16'; there are: f32, bf16");
}

TEST_CASE("a processor without bf16 says what is missing") {
  check_supported(Precision::f32);
  if (is_supported(Precision::bf16)) {
    MESSAGE("this processor has bf16; the test core-without-avx512 makes oneDNN behave like one without");
    return;
  }
  CHECK_ERROR(check_supported(Precision::bf16), "it needs AVX-512 (F, BW, DQ, VL); use f32");
  CHECK_ERROR(PrecisionScope(Precision::bf16), "it needs AVX-512 (F, BW, DQ, VL); use f32");
  CHECK(precision() == Precision::f32);
}

TEST_CASE("a scope holds for its thread, and the precision before it comes back") {
  if (!is_supported(Precision::bf16)) {
    MESSAGE("this processor has no bf16");
    return;
  }
  CHECK(precision() == Precision::f32);
  {
    const PrecisionScope scope(Precision::bf16);
    CHECK(precision() == Precision::bf16);
    {
      const PrecisionScope inner(Precision::f32);
      CHECK(precision() == Precision::f32);
    }
    CHECK(precision() == Precision::bf16);
    Precision other = Precision::bf16;
    std::thread([&] { other = precision(); }).join();
    CHECK(other == Precision::f32);
  }
  CHECK(precision() == Precision::f32);
}

/// The gradients of x and weight of a convolution, its parts computed in these precisions.
std::pair<Tensor, Tensor> gradients(Precision forward, Precision backward) {
  Rng rng(1);
  Tensor x = testing::uniform({2, 5, 5, 16}, rng), weight = testing::uniform({8, 3, 3, 16}, rng);
  x.set_requires_grad(true);
  weight.set_requires_grad(true);
  Tensor y;
  {
    const PrecisionScope scope(forward);
    y = conv2d(x, weight, {});
  }
  const PrecisionScope scope(backward);
  y.backward(testing::uniform(y.shape(), rng));
  return {x.grad(), weight.grad()};
}

bool equal(const Tensor& a, const Tensor& b) { return std::ranges::equal(a.raw(), b.raw()); }

TEST_CASE("a gradient is computed in the precision that its operation had") {
  if (!is_supported(Precision::bf16)) {
    MESSAGE("this processor has no bf16");
    return;
  }
  const auto [x32, weight32] = gradients(Precision::f32, Precision::f32);
  const auto [x16, weight16] = gradients(Precision::bf16, Precision::bf16);
  CHECK(!equal(x32, x16));
  CHECK(!equal(weight32, weight16));
  for (const Precision forward : {Precision::f32, Precision::bf16})
    for (const Precision backward : {Precision::f32, Precision::bf16}) {
      const auto [x, weight] = gradients(forward, backward);
      CHECK(equal(x, forward == Precision::bf16 ? x16 : x32));
      CHECK(equal(weight, forward == Precision::bf16 ? weight16 : weight32));
    }
}

}  // namespace
}  // namespace lathe
