#include <doctest/doctest.h>

#include <lathe/base/random.h>

#include <cmath>
#include <vector>

using lathe::Rng;

TEST_CASE("philox gives the published test vectors") {
  // Random123, kat_vectors: philox4x32 10 rounds.
  CHECK(lathe::philox({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(lathe::philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("a restored state continues with the same numbers") {
  Rng rng(7, 3);
  for (int i = 0; i < 5; ++i) rng.next();
  Rng again(rng.state());
  for (int i = 0; i < 10; ++i) CHECK(rng.next() == again.next());
}

TEST_CASE("splits are independent of draws and differ from each other") {
  Rng rng(1);
  const auto before = rng.split("weight").next();
  rng.next();
  CHECK(rng.split("weight").next() == before);
  CHECK(rng.split("bias").next() != before);
  CHECK(Rng(2).split("weight").next() != before);
}

TEST_CASE("uniform and normal numbers have the moments they should") {
  Rng rng(42);
  constexpr int n = 200'000;
  double sum = 0, squares = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < n; ++i) {
    const float u = rng.uniform();
    REQUIRE(u >= 0.0f);
    REQUIRE(u < 1.0f);
    const float z = rng.normal();
    sum += u, squares += u * u, normal_sum += z, normal_squares += z * z;
  }
  CHECK(sum / n == doctest::Approx(0.5).epsilon(0.01));
  CHECK(squares / n == doctest::Approx(1.0 / 3).epsilon(0.01));
  CHECK(std::abs(normal_sum / n) < 0.01);
  CHECK(normal_squares / n == doctest::Approx(1).epsilon(0.02));
}

TEST_CASE("below() stays below and reaches every value") {
  Rng rng(5);
  std::vector<int> seen(7);
  for (int i = 0; i < 1000; ++i) ++seen.at(rng.below(7));
  for (int count : seen) CHECK(count > 80);
  CHECK(rng.below(1) == 0);
}
