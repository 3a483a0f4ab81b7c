#include <lathe/optim/schedule.h>
#include <support/errors.h>

#include <cmath>
#include <limits>
#include <numbers>

using namespace lathe;
using namespace lathe::optim;

TEST_CASE("the constant schedule keeps its learning rate") {
  CHECK(learning_rate_at(ConstantSchedule{0.25f}, 0) == 0.25f);
  CHECK(learning_rate_at(ConstantSchedule{0.25f}, 1'000'000) == 0.25f);
}

TEST_CASE("the step schedule multiplies by gamma every so many steps") {
  const Schedule schedule = StepSchedule{.learning_rate = 1, .every = 10, .gamma = 0.5f};
  CHECK(learning_rate_at(schedule, 0) == 1);
  CHECK(learning_rate_at(schedule, 9) == 1);
  CHECK(learning_rate_at(schedule, 10) == 0.5f);
  CHECK(learning_rate_at(schedule, 39) == 0.125f);
}

TEST_CASE("the cosine schedule warms up in a line, falls along a cosine and stays at its final rate") {
  const Schedule schedule = CosineSchedule{.learning_rate = 0.8f, .final = 0.2f, .steps = 14, .warmup = 4};
  CHECK(learning_rate_at(schedule, 0) == doctest::Approx(0.2));
  CHECK(learning_rate_at(schedule, 1) == doctest::Approx(0.4));
  CHECK(learning_rate_at(schedule, 3) == doctest::Approx(0.8));
  CHECK(learning_rate_at(schedule, 4) == doctest::Approx(0.8));
  CHECK(learning_rate_at(schedule, 9) == doctest::Approx(0.5));
  CHECK(learning_rate_at(schedule, 12) ==
        doctest::Approx(0.2 + 0.6 * 0.5 * (1 + std::cos(std::numbers::pi * 0.8))));
  CHECK(learning_rate_at(schedule, 14) == 0.2f);
  CHECK(learning_rate_at(schedule, 1'000) == 0.2f);
}

TEST_CASE("the one-cycle schedule rises to its peak and falls to its end") {
  const Schedule schedule = OneCycleSchedule{
      .peak = 1, .steps = 101, .warmup_share = 0.3f, .start_divisor = 25, .final_divisor = 1e4f};
  CHECK(learning_rate_at(schedule, 0) == doctest::Approx(0.04));
  CHECK(learning_rate_at(schedule, 15) == doctest::Approx(0.52));
  CHECK(learning_rate_at(schedule, 30) == doctest::Approx(1));
  CHECK(learning_rate_at(schedule, 65) == doctest::Approx(0.50005));
  CHECK(learning_rate_at(schedule, 100) == doctest::Approx(1e-4));
  CHECK(learning_rate_at(schedule, 5'000) == doctest::Approx(1e-4));
  for (int step = 1; step <= 100; ++step)
    CHECK((learning_rate_at(schedule, step) > learning_rate_at(schedule, step - 1)) == (step <= 30));
}

TEST_CASE("a one-cycle schedule of one step, and one without warm-up, are defined") {
  CHECK(learning_rate_at(OneCycleSchedule{.peak = 1, .steps = 1}, 0) == doctest::Approx(1e-4));
  CHECK(learning_rate_at(OneCycleSchedule{.peak = 1, .steps = 10, .warmup_share = 0}, 0) == 1);
}

TEST_CASE("an option out of range is named with its value") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_ERROR(validate(ConstantSchedule{-1}), "constant schedule: learning_rate is -1");
  CHECK_ERROR(validate(ConstantSchedule{nan}), "learning_rate is nan");
  CHECK_ERROR(validate(StepSchedule{.every = 0}), "step schedule: every is 0, expected at least 1");
  CHECK_ERROR(validate(StepSchedule{.gamma = 0}), "gamma is 0, expected 0 < gamma <= 1");
  CHECK_ERROR(validate(StepSchedule{.gamma = nan}), "gamma is nan");
  CHECK_ERROR(validate(CosineSchedule{.learning_rate = INFINITY}), "cosine schedule: learning_rate is inf");
  CHECK_ERROR(validate(CosineSchedule{.final = -0.1f}), "final is -0.1");
  CHECK_ERROR(validate(CosineSchedule{.steps = 0}), "steps is 0");
  CHECK_ERROR(validate(CosineSchedule{.steps = 10, .warmup = 10}),
              "warmup is 10, expected 0 <= warmup < steps (10)");
  CHECK_ERROR(validate(CosineSchedule{.warmup = -1}), "warmup is -1");
  CHECK_ERROR(validate(OneCycleSchedule{.peak = nan}), "one-cycle schedule: peak is nan");
  CHECK_ERROR(validate(OneCycleSchedule{.steps = -5}), "steps is -5");
  CHECK_ERROR(validate(OneCycleSchedule{.warmup_share = 1}), "warmup_share is 1");
  CHECK_ERROR(validate(OneCycleSchedule{.start_divisor = 0.5f}), "start_divisor is 0.5");
  CHECK_ERROR(validate(OneCycleSchedule{.final_divisor = 0}), "final_divisor is 0");
  CHECK_ERROR(learning_rate_at(ConstantSchedule{}, -1), "step -1 is negative");
  CHECK_ERROR(learning_rate_at(ConstantSchedule{-1}, 0), "learning_rate is -1");
}

TEST_CASE("schedules are told apart by their text") {
  CHECK(to_string(Schedule(StepSchedule{0.1f, 1000, 0.5f})) ==
        "step(learning_rate=0.1, every=1000, gamma=0.5)");
  CHECK(to_string(Schedule(ConstantSchedule{0.1f})) != to_string(Schedule(ConstantSchedule{0.2f})));
  CHECK(to_string(Schedule(CosineSchedule{})) != to_string(Schedule(OneCycleSchedule{})));
}
