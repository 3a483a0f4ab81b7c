#include "../../runtime/kernels/fixed_point.h"

#include "../../runtime/prepare.h"

#include <lathe/base/random.h>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace lathe::runtime;
using lathe::Rng;

namespace {

/// The published form of the first step: a nudge by sign, then division towards zero.
std::int32_t doubling_high_multiply(std::int32_t a, std::int32_t b) {
  const std::int64_t product = std::int64_t{a} * b;
  const std::int64_t nudge = product >= 0 ? (std::int64_t{1} << 30) : 1 - (std::int64_t{1} << 30);
  return static_cast<std::int32_t>((product + nudge) / (std::int64_t{1} << 31));
}

/// The published form of the second step: remainder against a threshold.
std::int32_t divide_by_power(std::int32_t x, int exponent) {
  const std::int32_t mask = static_cast<std::int32_t>((std::int64_t{1} << exponent) - 1);
  const std::int32_t remainder = x & mask;
  const std::int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

std::int32_t any_int(Rng& rng) {
  const auto bits = static_cast<std::int32_t>(rng.next());
  return bits >> rng.below(31);  // all magnitudes
}

}  // namespace

TEST_CASE("the two rounding steps are those of the published reference") {
  Rng rng(5);
  for (int i = 0; i < 200000; ++i) {
    const std::int32_t a = any_int(rng);
    const auto b = static_cast<std::int32_t>((1u << 30) + rng.below(1u << 30));
    CHECK(multiply_high(a, b) == doubling_high_multiply(a, b));
    const int shift = static_cast<int>(rng.below(31));
    CHECK(rounding_shift(a, shift) == divide_by_power(a, shift));
  }
  for (const std::int32_t a : {INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX}) {
    for (const std::int32_t b : {1 << 30, (1 << 30) + 1, INT32_MAX})
      CHECK(multiply_high(a, b) == doubling_high_multiply(a, b));
    for (int shift = 0; shift < 31; ++shift) CHECK(rounding_shift(a, shift) == divide_by_power(a, shift));
  }
}

TEST_CASE("halves go away from zero in the shift") {
  CHECK(rounding_shift(5, 1) == 3);
  CHECK(rounding_shift(-5, 1) == -3);
  CHECK(rounding_shift(2, 2) == 1);
  CHECK(rounding_shift(-2, 2) == -1);
  CHECK(rounding_shift(-1, 2) == 0);
  CHECK(rounding_shift(7, 0) == 7);
}

TEST_CASE("a rescaled number is the real product within one") {
  Rng rng(6);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::exp2(-20 * static_cast<double>(rng.uniform()));
    const FixedFactor fixed = to_fixed(factor);
    CHECK(fixed.multiplier >= 1 << 30);
    const std::int32_t x = any_int(rng);
    CHECK(std::abs(rescale(x, fixed.multiplier, fixed.exponent) - x * factor) <= 1.0);
  }
}

TEST_CASE("factors of one and more shift left and saturate") {
  const FixedFactor three = to_fixed(3.);
  CHECK(three.exponent == 2);
  CHECK(rescale(100, three.multiplier, three.exponent) == 300);
  CHECK(rescale(-7, three.multiplier, three.exponent) == -21);
  CHECK(rescale(INT32_MAX, three.multiplier, three.exponent) > 1 << 30);
  CHECK(rescale(INT32_MIN, three.multiplier, three.exponent) < -(1 << 30));
  CHECK(to_fixed(std::ldexp(1., -40)).multiplier == 0);
  CHECK(to_fixed(1 - 1e-12).exponent == 1);  // the fraction rounds up to one
}

TEST_CASE("floats are rounded half away from zero and clamped to codes") {
  CHECK(round_half_away(0.5f) == 1);
  CHECK(round_half_away(-0.5f) == -1);
  CHECK(round_half_away(1.5f) == 2);
  CHECK(round_half_away(2.5f) == 3);
  CHECK(round_half_away(std::nextafter(0.5f, 0.f)) == 0);
  CHECK(round_half_away(-std::nextafter(0.5f, 0.f)) == 0);
  CHECK(to_code(3.4f, 10) == 13);
  CHECK(to_code(1e30f, 10) == 127);
  CHECK(to_code(-1e30f, 10) == -128);
  CHECK(to_code(std::numeric_limits<float>::infinity(), -128) == 127);
  CHECK(to_code(std::numeric_limits<float>::quiet_NaN(), 3) == -128);
}

TEST_CASE("integer quotients are rounded half away from zero") {
  CHECK(rounded_quotient(7, 2) == 4);
  CHECK(rounded_quotient(-7, 2) == -4);
  CHECK(rounded_quotient(4, 3) == 1);
  CHECK(rounded_quotient(-5, 3) == -2);
}
