#include <lathe/base/error.h>
#include <lathe/optim/schedule.h>

#include <cmath>
#include <numbers>
#include <string_view>

namespace lathe::optim {
namespace {

void check_rate(std::string_view schedule, std::string_view option, float value) {
  check(std::isfinite(value) && value >= 0, "{} schedule: {} is {}, expected a finite number >= 0", schedule,
        option, value);
}

void check_divisor(std::string_view option, float value) {
  check(std::isfinite(value) && value >= 1, "one-cycle schedule: {} is {}, expected a finite number >= 1",
        option, value);
}

void check_steps(std::string_view schedule, std::string_view option, std::int64_t steps) {
  check(steps >= 1, "{} schedule: {} is {}, expected at least 1", schedule, option, steps);
}

struct Validate {
  void operator()(const ConstantSchedule& s) const {
    check_rate("constant", "learning_rate", s.learning_rate);
  }

  void operator()(const StepSchedule& s) const {
    check_rate("step", "learning_rate", s.learning_rate);
    check_steps("step", "every", s.every);
    check(s.gamma > 0 && s.gamma <= 1, "step schedule: gamma is {}, expected 0 < gamma <= 1", s.gamma);
  }

  void operator()(const CosineSchedule& s) const {
    check_rate("cosine", "learning_rate", s.learning_rate);
    check_rate("cosine", "final", s.final);
    check_steps("cosine", "steps", s.steps);
    check(s.warmup >= 0 && s.warmup < s.steps,
          "cosine schedule: warmup is {}, expected 0 <= warmup < steps ({})", s.warmup, s.steps);
  }

  void operator()(const OneCycleSchedule& s) const {
    check_rate("one-cycle", "peak", s.peak);
    check_steps("one-cycle", "steps", s.steps);
    check(s.warmup_share >= 0 && s.warmup_share < 1,
          "one-cycle schedule: warmup_share is {}, expected 0 <= warmup_share < 1", s.warmup_share);
    check_divisor("start_divisor", s.start_divisor);
    check_divisor("final_divisor", s.final_divisor);
  }
};

/// From `from` to `to` along half a cosine as t goes from 0 to 1.
double anneal(double from, double to, double t) {
  return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * t));
}

struct RateAt {
  std::int64_t step;

  double operator()(const ConstantSchedule& s) const { return s.learning_rate; }

  double operator()(const StepSchedule& s) const {
    return s.learning_rate * std::pow(double{s.gamma}, static_cast<double>(step / s.every));
  }

  double operator()(const CosineSchedule& s) const {
    if (step < s.warmup)
      return s.learning_rate * static_cast<double>(step + 1) / static_cast<double>(s.warmup);
    if (step >= s.steps) return s.final;
    return anneal(s.learning_rate, s.final,
                  static_cast<double>(step - s.warmup) / static_cast<double>(s.steps - s.warmup));
  }

  double operator()(const OneCycleSchedule& s) const {
    const double start = double{s.peak} / s.start_divisor;
    const double final = double{s.peak} / s.final_divisor;
    const auto last = static_cast<double>(s.steps - 1);
    const double top = s.warmup_share * last;
    const auto now = static_cast<double>(step);
    if (now >= last) return final;
    return now < top ? anneal(start, s.peak, now / top) : anneal(s.peak, final, (now - top) / (last - top));
  }
};

struct ToString {
  std::string operator()(const ConstantSchedule& s) const {
    return fmt::format("constant(learning_rate={})", s.learning_rate);
  }
  std::string operator()(const StepSchedule& s) const {
    return fmt::format("step(learning_rate={}, every={}, gamma={})", s.learning_rate, s.every, s.gamma);
  }
  std::string operator()(const CosineSchedule& s) const {
    return fmt::format("cosine(learning_rate={}, final={}, steps={}, warmup={})", s.learning_rate, s.final,
                       s.steps, s.warmup);
  }
  std::string operator()(const OneCycleSchedule& s) const {
    return fmt::format("one_cycle(peak={}, steps={}, warmup_share={}, start_divisor={}, final_divisor={})",
                       s.peak, s.steps, s.warmup_share, s.start_divisor, s.final_divisor);
  }
};

}  // namespace

void validate(const Schedule& schedule) { std::visit(Validate{}, schedule); }

float learning_rate_at(const Schedule& schedule, std::int64_t step) {
  validate(schedule);
  check(step >= 0, "schedule: step {} is negative", step);
  return static_cast<float>(std::visit(RateAt{step}, schedule));
}

std::string to_string(const Schedule& schedule) { return std::visit(ToString{}, schedule); }

}  // namespace lathe::optim
