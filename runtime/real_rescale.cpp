#include "real_rescale.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace lathe::runtime {

namespace {

/// The least accumulator whose code is `code` or more.
struct Step {
  std::int64_t accumulator = 0;
  std::int32_t code = 0;
};

/// ceil(a / b), b > 0.
std::int64_t ceil_quotient(std::int64_t a, std::int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// With d = code - zero point >= 1: (x + 2^(e-1)) >> e >= d from x = d * 2^e - 2^(e-1) on, and x = (a * m +
/// 2^30) >> 31. With d <= 0 it is (x + 2^(e-1) - 1) >> e for x < 0, from one x later on.
std::vector<Step> steps_of(const FixedRescale& fixed, std::int32_t first_code, std::int32_t last_code) {
  std::vector<Step> steps;
  for (std::int32_t code = first_code; code <= last_code; ++code) {
    const std::int64_t d = code - fixed.zero_point, unit = std::int64_t{1} << fixed.shift;
    const std::int64_t x = d * unit - unit / 2 + (d <= 0 ? 1 : 0);
    const std::int64_t accumulator =
        ceil_quotient(x * (std::int64_t{1} << 31) - (std::int64_t{1} << 30), fixed.multiplier);
    if (accumulator > -fixed.bound && accumulator <= fixed.bound) steps.push_back({accumulator, code});
  }
  return steps;
}

std::int64_t code_of(const RealRescale& real, std::int64_t accumulator) {
  const float value =
      std::fma(static_cast<float>(accumulator), real.factor, accumulator < 0 ? real.below : real.offset);
  return std::lrint(value) + (accumulator == real.exception ? real.delta : 0);
}

/// How many of the steps are wrong on the one or the other side, up to `most`; makes the last of them the
/// exception.
int wrong_steps(RealRescale& real, std::span<const Step> steps, int most) {
  int wrong = 0;
  real.delta = 0;
  const RealRescale plain = real;
  for (const Step& step : steps) {
    if (code_of(plain, step.accumulator) < step.code) {
      real.exception = static_cast<std::int32_t>(step.accumulator);
      real.delta = 1;
      ++wrong;
    }
    if (code_of(plain, step.accumulator - 1) >= step.code) {
      real.exception = static_cast<std::int32_t>(step.accumulator - 1);
      real.delta = -1;
      ++wrong;
    }
    if (wrong >= most) break;
  }
  return wrong;
}

bool equal(const RealRescale& real, std::span<const Step> steps) {
  return std::ranges::all_of(steps, [&](const Step& step) {
    return code_of(real, step.accumulator) >= step.code && code_of(real, step.accumulator - 1) < step.code;
  });
}

/// The offsets under which `factor` would be right without rounding errors lie between these.
struct Offsets {
  double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
};

/// Brings the steps that leave the offset least freedom to the front.
constexpr std::size_t kTight = 8;
Offsets offsets_of(float factor, std::vector<Step>& steps) {
  const auto after = [&](const Step& step) {
    return step.code - 0.5 - static_cast<double>(step.accumulator) * static_cast<double>(factor);
  };
  const auto less = [&](const Step& a, const Step& b) { return after(a) < after(b); };
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(std::min(kTight, steps.size()));
  std::nth_element(steps.begin(), middle, steps.end(), less);
  const auto end = middle + std::min(static_cast<std::ptrdiff_t>(kTight), steps.end() - middle);
  std::nth_element(middle, end, steps.end(), [&](const Step& a, const Step& b) { return less(b, a); });
  Offsets offsets;
  for (const Step& step : steps) {
    offsets.low = std::max(offsets.low, after(step));
    offsets.high = std::min(offsets.high, after(step) + static_cast<double>(factor));
  }
  return offsets;
}

/// The steps on one side of accumulator 0.
struct Side {
  std::vector<Step> steps;
  float RealRescale::*offset;
};

/// Finds the offset of one side for the factor of `real`, with at most `most` exceptions (0 or 1); the one
/// offset that needs none, if there is one.
bool find_offset(RealRescale& real, Side& side, int most) {
  if (side.steps.empty()) return true;
  const Offsets offsets = offsets_of(real.factor, side.steps);
  const auto middle = static_cast<float>((offsets.low + offsets.high) / 2);
  const auto tight = std::span(side.steps).first(std::min(2 * kTight, side.steps.size()));
  bool found = false;
  float up = middle, down = middle;
  RealRescale best = real;
  constexpr int kOffsets = 12;
  for (int i = 0; i < 2 * kOffsets; ++i) {
    RealRescale one = real;
    one.*side.offset = i % 2 == 0 ? up : down;
    const int allowed = found ? 0 : most;
    if (wrong_steps(one, tight, allowed + 1) <= allowed) {
      const int wrong = wrong_steps(one, side.steps, 2);
      if (wrong == 0 || (wrong <= allowed && equal(one, side.steps))) {
        if (wrong == 0) {
          real.*side.offset = one.*side.offset;
          return true;
        }
        best = one;
        found = true;
      }
    }
    if (i % 2 == 0) {
      up = std::nextafter(up, 1e9f);
      down = std::nextafter(down, -1e9f);
    }
  }
  if (found) real = best;
  return found;
}

}  // namespace

Rescaling RealRescale::rescaling(const FixedRescale& fixed) const {
  if (fixed.low < fixed.zero_point) return Rescaling::two_sided;
  return delta != 0 ? Rescaling::exceptions : Rescaling::real;
}

std::optional<RealRescale> find_real_rescale(const FixedRescale& fixed) {
  // Below, the steps are so far apart that a float has too few digits for most of them.
  constexpr std::int32_t kMaxShift = 12;
  if (fixed.shift < 1 || fixed.shift > kMaxShift) return {};
  Side above{steps_of(fixed, std::max(fixed.low, fixed.zero_point) + 1, fixed.high), &RealRescale::offset};
  Side below{steps_of(fixed, fixed.low + 1, std::min(fixed.high, fixed.zero_point)), &RealRescale::below};
  if (above.steps.empty() && below.steps.empty()) return {};  // one code for all accumulators
  const auto nominal =
      static_cast<float>(std::ldexp(static_cast<double>(fixed.multiplier), -31 - fixed.shift));
  const auto zero = static_cast<float>(fixed.zero_point);
  std::optional<RealRescale> best;
  for (const float factor : {nominal, std::nextafter(nominal, 0.f), std::nextafter(nominal, 1.f)}) {
    RealRescale real{.factor = factor, .offset = zero, .below = zero};
    if (!find_offset(real, above, best ? 0 : 1)) continue;
    const std::int32_t exception = real.exception, delta = real.delta;
    if (!find_offset(real, below, best || delta != 0 ? 0 : 1)) continue;
    if (delta != 0) {
      real.exception = exception;
      real.delta = delta;
    }
    if (below.steps.empty()) real.below = real.offset;
    // The sides meet at 0, where neither has a step.
    const std::int64_t at_zero = std::clamp(fixed.zero_point, fixed.low, fixed.high);
    if (std::clamp<std::int64_t>(code_of(real, 0), fixed.low, fixed.high) != at_zero) continue;
    if (real.delta == 0) return real;
    if (!best) best = real;
  }
  return best;
}

namespace {

/// Calls visit(a, b, code) for all pairs of codes until it returns false; returns whether it never did.
template <typename Visit>
bool for_all_pairs(std::span<const std::int8_t> codes, Visit&& visit) {
  std::size_t i = 0;
  for (int b = -128; b < 128; ++b) {
    for (int a = -128; a < 128; ++a, ++i)
      if (!visit(a, b, std::int32_t{codes[i]})) return false;
  }
  return true;
}

/// The offset in the middle of those that give all codes, were arithmetic exact; none if there is none.
std::optional<double> middle_offset(double first, double second, std::span<const std::int8_t> codes,
                                    std::int32_t low, std::int32_t high) {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  for_all_pairs(codes, [&](int a, int b, std::int32_t code) {
    const double sum = a * first + b * second;
    if (code > low) least = std::max(least, code - 0.5 - sum);
    if (code < high) most = std::min(most, code + 0.5 - sum);
    return true;
  });
  if (!std::isfinite(least) || !std::isfinite(most) || least > most) return {};
  return (least + most) / 2;
}

bool gives_all(const RealAdd& real, std::span<const std::int8_t> codes, std::int32_t low, std::int32_t high) {
  constexpr float kLargest = 1 << 30;  // that kernels convert
  return for_all_pairs(codes, [&](int a, int b, std::int32_t code) {
    const float value = std::fma(static_cast<float>(a), real.first,
                                 std::fma(static_cast<float>(b), real.second, real.offset));
    return std::abs(value) < kLargest && std::clamp<std::int64_t>(std::lrint(value), low, high) == code;
  });
}

/// `value` moved by so many steps of single precision.
float moved(double value, int steps) {
  auto result = static_cast<float>(value);
  for (; steps > 0; --steps) result = std::nextafter(result, std::numeric_limits<float>::infinity());
  for (; steps < 0; ++steps) result = std::nextafter(result, 0.f);
  return result;
}

}  // namespace

std::optional<RealAdd> find_real_add(double first, double second, std::span<const std::int8_t> codes,
                                     std::int32_t low, std::int32_t high) {
  constexpr int kSteps[] = {0, 1, -1, 2, -2};
  for (const int i : kSteps) {
    for (const int k : kSteps) {
      RealAdd real{.first = moved(first, i), .second = moved(second, k)};
      const auto offset =
          middle_offset(static_cast<double>(real.first), static_cast<double>(real.second), codes, low, high);
      if (!offset) continue;
      real.offset = static_cast<float>(*offset);
      if (gives_all(real, codes, low, high)) return real;
    }
  }
  return {};
}

}  // namespace lathe::runtime
