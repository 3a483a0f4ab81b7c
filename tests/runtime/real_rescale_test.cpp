#include "../../runtime/real_rescale.h"
#include "../../runtime/kernels/fixed_point.h"

#include <lathe/base/random.h>

#include <doctest/doctest.h>
#include <vector>

#include <algorithm>
#include <cmath>

using namespace lathe::runtime;

namespace {

std::int64_t fixed_code(const FixedRescale& fixed, std::int32_t a) {
  const std::int32_t code = rescale(a, fixed.multiplier, -fixed.shift) + fixed.zero_point;
  return std::clamp(code, fixed.low, fixed.high);
}

std::int64_t real_code(const FixedRescale& fixed, const RealRescale& real, std::int32_t a) {
  const bool two_sided = real.rescaling(fixed) == Rescaling::two_sided;
  const float offset = two_sided && a < 0 ? real.below : real.offset;
  const std::int64_t code = std::lrint(std::fma(static_cast<float>(a), real.factor, offset)) +
                            (a == real.exception ? real.delta : 0);
  return std::clamp<std::int64_t>(code, fixed.low, fixed.high);
}

}  // namespace

TEST_CASE("rescaling in floats gives every code of the fixed-point rescaling") {
  lathe::Rng rng(5);
  int found = 0, exceptions = 0, two_sided = 0;
  for (std::int32_t shift = 1; shift <= 10; ++shift) {
    for (int trial = 0; trial < (shift < 10 ? 5 : 12); ++trial) {
      CAPTURE(shift);
      FixedRescale fixed{
          .multiplier = static_cast<std::int32_t>((1 << 30) + rng.below(1 << 30)),
          .shift = shift,
          .zero_point = trial % 2 == 0 ? -128 : static_cast<std::int32_t>(rng.below(200)) - 100,
          .bound = 400'000};
      const bool relu = trial != 3 || shift == 10;
      fixed.low = relu ? fixed.zero_point : -128;
      fixed.high = trial % 3 == 0 ? 127 : std::min(127, fixed.low + 100);
      const auto real = find_real_rescale(fixed);
      if (!real) continue;
      ++found;
      two_sided += real->rescaling(fixed) == Rescaling::two_sided ? 1 : 0;
      exceptions += real->delta != 0 ? 1 : 0;
      std::int64_t wrong = 0;
      for (std::int32_t a = -400'000; a <= 400'000; ++a)
        wrong += fixed_code(fixed, a) == real_code(fixed, *real, a) ? 0 : 1;
      CHECK(wrong == 0);
    }
  }
  CHECK(found >= 50);
  CHECK(exceptions >= 3);
  CHECK(two_sided >= 8);
}

TEST_CASE("halves of a factor that is a power of two go away from the zero point on both sides") {
  for (std::int32_t shift = 1; shift <= 12; ++shift) {
    CAPTURE(shift);
    const FixedRescale fixed{.multiplier = 1 << 30, .shift = shift, .zero_point = -20, .bound = 1 << 21};
    const auto real = find_real_rescale(fixed);
    REQUIRE(real);
    CHECK(real->rescaling(fixed) == Rescaling::two_sided);
    std::int64_t wrong = 0;
    for (std::int32_t a = -(1 << 21); a <= 1 << 21; ++a)
      wrong += fixed_code(fixed, a) == real_code(fixed, *real, a) ? 0 : 1;
    CHECK(wrong == 0);
  }
}

TEST_CASE("no rescaling in floats is found for tiny factors") {
  FixedRescale fixed{.multiplier = 1 << 30, .shift = 5, .zero_point = -20, .low = -20, .bound = 100'000};
  CHECK(find_real_rescale(fixed));
  fixed.shift = 20;
  CHECK_FALSE(find_real_rescale(fixed));
}

TEST_CASE(
    "no sum in floats is found where halves go away from zero, for codes that are none, and for huge "
    "factors") {
  std::vector<std::int8_t> codes(65536);
  const auto fill = [&](auto&& sum) {
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double value = sum(static_cast<int>(i % 256) - 128, static_cast<int>(i / 256) - 128);
      codes[i] = static_cast<std::int8_t>(std::clamp(std::round(value), -128., 127.));
    }
  };
  fill([](int a, int b) { return 0.3013177 * a + 0.7071068 * b - 3.2311; });
  const auto real = lathe::runtime::find_real_add(0.3013177, 0.7071068, codes, -128, 127);
  REQUIRE(real);
  CHECK(std::abs(static_cast<double>(real->offset) + 3.2311) < 0.001);
  codes[77] ^= 1;
  CHECK_FALSE(lathe::runtime::find_real_add(0.3013177, 0.7071068, codes, -128, 127));
  fill([](int a, int b) { return (a + b) / 2.; });
  CHECK_FALSE(lathe::runtime::find_real_add(0.5, 0.5, codes, -128, 127));
  fill([](int a, int b) { return 1e9 * a + 1.1e9 * b + 0.3e9; });
  CHECK_FALSE(lathe::runtime::find_real_add(1e9, 1.1e9, codes, -128, 127));  // kernels do not convert those
}
