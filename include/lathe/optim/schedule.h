#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace lathe::optim {

/// Learning rates as pure functions of the step (0-based): nothing to save, resuming needs the step only.

struct ConstantSchedule {
  float learning_rate = 1e-3f;
};

/// learning_rate * gamma^(step / every), the quotient rounded down.
struct StepSchedule {
  float learning_rate = 1e-3f;
  std::int64_t every = 1000;  ///< steps
  float gamma = 0.1f;
};

/// Linear warm-up from learning_rate/warmup to learning_rate, then along half a cosine to final, which the
/// step `steps` reaches and all later ones keep. Loshchilov & Hutter 2017.
struct CosineSchedule {
  float learning_rate = 1e-3f;
  float final = 0;
  std::int64_t steps = 1000;  ///< the whole length, warm-up included
  std::int64_t warmup = 0;    ///< steps
};

/// From peak/start_divisor at step 0 up to peak over warmup_share of the steps and down to peak/final_divisor
/// at the last one, both along half a cosine; later steps keep that. Smith & Topin 2018.
struct OneCycleSchedule {
  float peak = 1e-2f;
  std::int64_t steps = 1000;
  float warmup_share = 0.3f;
  float start_divisor = 25;
  float final_divisor = 1e4f;
};

using Schedule = std::variant<ConstantSchedule, StepSchedule, CosineSchedule, OneCycleSchedule>;

/// Throws Error on a negative step or options out of range.
float learning_rate_at(const Schedule& schedule, std::int64_t step);

/// Throws Error naming the first option that is out of range.
void validate(const Schedule& schedule);

/// "step(learning_rate=0.1, every=1000, gamma=0.1)"
std::string to_string(const Schedule& schedule);

}  // namespace lathe::optim
