#include <lathe/compress/sparsity_schedule.h>
#include "support/errors.h"

#include <cmath>
#include <vector>

using namespace lathe;
using namespace lathe::compress;

namespace {

/// The steps 1..last at which masks are made.
std::vector<std::int64_t> updates(const SparsitySchedule& schedule, std::int64_t last) {
  std::vector<std::int64_t> steps;
  for (std::int64_t t = 1; t <= last; ++t)
    if (updates_at(schedule, t)) steps.push_back(t);
  return steps;
}

using Steps = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("with begin 0 the first mask is made after `frequency` steps") {
  CHECK(updates(ConstantSparsity{.begin = 0, .frequency = 100}, 350) == Steps{100, 200, 300});
  CHECK(first_update(ConstantSparsity{.begin = 0, .frequency = 100}) == 100);
  // A training shorter than that never prunes.
  CHECK(updates(ConstantSparsity{}, 99).empty());
}

TEST_CASE("masks are made at begin and every `frequency` steps from there, up to end") {
  CHECK(updates(ConstantSparsity{.begin = 7, .end = 27, .frequency = 10}, 100) == Steps{7, 17, 27});
  CHECK(updates(ConstantSparsity{.begin = 7, .end = 26, .frequency = 10}, 100) == Steps{7, 17});
  CHECK(updates(ConstantSparsity{.begin = 1, .end = -1, .frequency = 1}, 4) == Steps{1, 2, 3, 4});
  CHECK(updates(ConstantSparsity{.begin = 5, .end = 5}, 1000) == Steps{5});
}

TEST_CASE("the last mask of a polynomial decay is a hair under its final sparsity") {
  const PolynomialDecay decay{.initial = 0, .final = 0.8f, .begin = 0, .end = 4690, .frequency = 100};
  CHECK(last_update(decay) == 4600);
  const double deficit = 0.8 - static_cast<double>(sparsity_at(decay, 4600));
  CHECK(deficit == doctest::Approx(0.8 * std::pow(90.0 / 4690, 3)).epsilon(0.05));
  CHECK(deficit < 0.8 * 7.2e-6);
  CHECK(updates(decay, 10000).back() == 4600);
}

TEST_CASE("a polynomial decay rises from initial to final") {
  const PolynomialDecay decay{.initial = 0.5f, .final = 0.8f, .begin = 0, .end = 2110, .frequency = 100};
  CHECK(sparsity_at(decay, 0) == 0.5f);
  CHECK(sparsity_at(decay, 1055) == doctest::Approx(0.8 - 0.3 * 0.125));
  CHECK(sparsity_at(decay, 2110) == 0.8f);
  // Clamped on both sides.
  CHECK(sparsity_at(PolynomialDecay{.initial = 0.1f, .final = 0.9f, .begin = 100, .end = 200}, 50) == 0.1f);
  CHECK(sparsity_at(decay, 9999) == 0.8f);
}

TEST_CASE("power 1 is a straight line; a decay may also go down") {
  const PolynomialDecay line{
      .initial = 0.8f, .final = 0.4f, .begin = 0, .end = 100, .power = 1, .frequency = 10};
  CHECK(sparsity_at(line, 25) == doctest::Approx(0.7));
  CHECK(sparsity_at(line, 50) == doctest::Approx(0.6));
}

TEST_CASE("the final sparsity is reached with the last mask of a decay, the first of a constant one") {
  const PolynomialDecay decay{.final = 0.8f, .begin = 10, .end = 95, .frequency = 20};
  CHECK(last_update(decay) == 90);
  CHECK_FALSE(final_sparsity_reached(decay, 89));
  CHECK(final_sparsity_reached(decay, 90));
  CHECK(final_sparsity_reached(decay, 1000));
  const ConstantSparsity constant{.sparsity = 0.5f, .begin = 0, .frequency = 30};
  CHECK(last_update(constant) == -1);
  CHECK_FALSE(final_sparsity_reached(constant, 29));
  CHECK(final_sparsity_reached(constant, 30));
}

TEST_CASE("options out of range are refused by name") {
  CHECK_ERROR(validate(ConstantSparsity{.sparsity = 1}), "sparsity is 1, expected 0 <= sparsity < 1");
  CHECK_ERROR(validate(ConstantSparsity{.sparsity = -0.1f}), "sparsity is -0.1");
  CHECK_ERROR(validate(ConstantSparsity{.sparsity = NAN}), "sparsity is nan");
  CHECK_ERROR(validate(ConstantSparsity{.begin = -1}), "begin is -1, expected at least 0");
  CHECK_ERROR(validate(ConstantSparsity{.frequency = 0}), "frequency is 0, expected at least 1");
  CHECK_ERROR(validate(ConstantSparsity{.begin = 10, .end = 9}),
              "end is 9, expected -1 (never) or at least begin = 10");
  CHECK_ERROR(validate(ConstantSparsity{.end = -2}), "end is -2");
  CHECK_ERROR(validate(PolynomialDecay{.initial = 1}), "initial is 1");
  CHECK_ERROR(validate(PolynomialDecay{.final = 1.5f}), "final is 1.5");
  CHECK_ERROR(validate(PolynomialDecay{.power = 0}), "power is 0");
  CHECK_ERROR(validate(PolynomialDecay{.power = INFINITY}), "power is inf");
  CHECK_ERROR(validate(PolynomialDecay{.begin = -5}), "begin is -5");
  CHECK_ERROR(validate(PolynomialDecay{.frequency = -1}), "frequency is -1");
  CHECK_NOTHROW(validate(ConstantSparsity{}));
  CHECK_NOTHROW(validate(ConstantSparsity{.sparsity = 0, .begin = 5, .end = 5}));
  CHECK_NOTHROW(validate(PolynomialDecay{}));
}

TEST_CASE("a polynomial decay needs an end after its begin") {
  CHECK_ERROR(validate(PolynomialDecay{.begin = 100, .end = 100}), "must end after begin = 100");
  CHECK_ERROR(validate(PolynomialDecay{.end = -1}), "end is -1, a polynomial decay must end after begin = 0");
}

TEST_CASE("a schedule that would never make a mask is refused") {
  CHECK_ERROR(validate(ConstantSparsity{.begin = 0, .end = 99}), "no mask is ever made");
  CHECK_ERROR(validate(PolynomialDecay{.begin = 0, .end = 50}), "is 100, after end = 50");
  CHECK_NOTHROW(validate(PolynomialDecay{.begin = 0, .end = 100}));
  CHECK_NOTHROW(validate(ConstantSparsity{.begin = 1, .end = 1}));
}

TEST_CASE("a schedule reads as text") {
  CHECK(to_string(PolynomialDecay{.final = 0.8f, .end = 2110}) ==
        "polynomial(0 -> 0.8, steps 0..2110, power 3, every 100)");
  CHECK(to_string(ConstantSparsity{}) == "constant(0.5, steps 0.., every 100)");
}
