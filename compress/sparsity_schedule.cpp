#include <lathe/compress/sparsity_schedule.h>

#include <lathe/base/error.h>

#include <algorithm>
#include <cmath>

namespace lathe::compress {
namespace {

void check_sparsity(std::string_view name, float sparsity) {
  check(sparsity >= 0 && sparsity < 1, "pruning schedule: {} is {}, expected 0 <= {} < 1", name, sparsity,
        name);
}

void check_times(std::int64_t begin, std::int64_t frequency) {
  check(begin >= 0, "pruning schedule: begin is {}, expected at least 0", begin);
  check(frequency >= 1, "pruning schedule: frequency is {}, expected at least 1", frequency);
}

void check_own(const ConstantSparsity& s) {
  check_sparsity("sparsity", s.sparsity);
  check_times(s.begin, s.frequency);
  check(s.end == -1 || s.end >= s.begin,
        "pruning schedule: end is {}, expected -1 (never) or at least begin = {}", s.end, s.begin);
}

void check_own(const PolynomialDecay& s) {
  check_sparsity("initial", s.initial);
  check_sparsity("final", s.final);
  check_times(s.begin, s.frequency);
  check(s.end > s.begin, "pruning schedule: end is {}, a polynomial decay must end after begin = {}", s.end,
        s.begin);
  check(s.power > 0 && std::isfinite(s.power), "pruning schedule: power is {}, expected a positive number",
        s.power);
}

float sparsity_of(const ConstantSparsity& s, std::int64_t) { return s.sparsity; }

float sparsity_of(const PolynomialDecay& s, std::int64_t step) {
  const double p =
      std::clamp(static_cast<double>(step - s.begin) / static_cast<double>(s.end - s.begin), 0.0, 1.0);
  const double initial = s.initial, final = s.final;
  return static_cast<float>(final + (initial - final) * std::pow(1 - p, static_cast<double>(s.power)));
}

}  // namespace

void validate(const SparsitySchedule& schedule) {
  std::visit(
      [&](const auto& s) {
        check_own(s);
        const std::int64_t first = first_update(schedule);
        check(s.end < 0 || first <= s.end,
              "pruning schedule: no mask is ever made: steps count from 1, and the first one of begin + k * "
              "frequency "
              "({} + k * {}) is {}, after end = {}",
              s.begin, s.frequency, first, s.end);
      },
      schedule);
}

bool updates_at(const SparsitySchedule& schedule, std::int64_t step) {
  return std::visit(
      [&](const auto& s) {
        return s.begin <= step && (step <= s.end || s.end < 0) && (step - s.begin) % s.frequency == 0;
      },
      schedule);
}

float sparsity_at(const SparsitySchedule& schedule, std::int64_t step) {
  return std::visit([&](const auto& s) { return sparsity_of(s, step); }, schedule);
}

std::int64_t first_update(const SparsitySchedule& schedule) {
  return std::visit([](const auto& s) { return s.begin >= 1 ? s.begin : s.frequency; }, schedule);
}

std::int64_t last_update(const SparsitySchedule& schedule) {
  return std::visit(
      [](const auto& s) { return s.end < 0 ? -1 : s.begin + (s.end - s.begin) / s.frequency * s.frequency; },
      schedule);
}

bool final_sparsity_reached(const SparsitySchedule& schedule, std::int64_t step) {
  const bool constant = std::holds_alternative<ConstantSparsity>(schedule);
  return step >= (constant ? first_update(schedule) : last_update(schedule));
}

std::string to_string(const SparsitySchedule& schedule) {
  if (const auto* s = std::get_if<ConstantSparsity>(&schedule))
    return fmt::format("constant({}, steps {}..{}, every {})", s->sparsity, s->begin,
                       s->end < 0 ? "" : std::to_string(s->end), s->frequency);
  const auto& s = std::get<PolynomialDecay>(schedule);
  return fmt::format("polynomial({} -> {}, steps {}..{}, power {}, every {})", s.initial, s.final, s.begin,
                     s.end, s.power, s.frequency);
}

}  // namespace lathe::compress
