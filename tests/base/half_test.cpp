#include <lathe/base/half.h>

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

using namespace lathe;

namespace {

/// A half's value by its definition.
double value_of(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

bool finite(std::uint16_t bits) { return (bits >> 10 & 31) != 31; }

}  // namespace

TEST_CASE("every half becomes its float and back") {
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = half_to_float(bits);
    if (finite(bits)) {
      CHECK(static_cast<double>(value) == value_of(bits));
      CHECK(std::signbit(value) == (bits >> 15 != 0));
      CHECK(float_to_half(value) == bits);
    } else if ((bits & 0x3ff) == 0) {
      CHECK(std::isinf(value));
      CHECK(float_to_half(value) == bits);
    } else {
      CHECK(std::isnan(value));
      CHECK((float_to_half(value) & 0x7e00) == 0x7e00);
    }
  }
}

TEST_CASE("floats between two halves go to the nearer one, from the middle to the even one") {
  for (std::uint32_t i = 0; i < 0x7bff; ++i) {
    const auto below = static_cast<std::uint16_t>(i), above = static_cast<std::uint16_t>(i + 1);
    const auto middle = static_cast<float>((value_of(below) + value_of(above)) / 2);
    const std::uint16_t even = i % 2 == 0 ? below : above;
    CHECK(float_to_half(middle) == even);
    CHECK(float_to_half(-middle) == (even | 0x8000));
    CHECK(float_to_half(std::nextafter(middle, 0.f)) == below);
    CHECK(float_to_half(std::nextafter(middle, 1e9f)) == above);
  }
}

TEST_CASE("what is too large becomes infinite, what is too small zero") {
  CHECK(float_to_half(65504) == 0x7bff);
  CHECK(float_to_half(std::nextafter(65520.f, 0.f)) == 0x7bff);
  CHECK(float_to_half(65520) == 0x7c00);
  CHECK(float_to_half(-1e30f) == 0xfc00);
  CHECK(float_to_half(std::numeric_limits<float>::infinity()) == 0x7c00);
  CHECK(float_to_half(0x1p-25f) == 0);
  CHECK(float_to_half(std::nextafter(0x1p-25f, 1.f)) == 1);
  CHECK(float_to_half(-1e-30f) == 0x8000);
  CHECK(float_to_half(std::numeric_limits<float>::denorm_min()) == 0);
}
