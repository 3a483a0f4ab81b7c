#pragma once

#include <cstdint>
#include <string>
#include <variant>

/// How sparse a weight is to be at which step, and when its mask is made anew. Steps count from 1: the first
/// batch of a training is step 1, so that begin = 0 with frequency = 100 makes the first mask at step 100.
/// Zhu & Gupta 2017, "To prune, or not to prune", with the conventions of the TensorFlow Model Optimization
/// Toolkit.
///
/// The mask is made anew at step t when begin <= t, t <= end or end < 0, and (t - begin) is a multiple of
/// frequency; between two such steps, and for good after end, it stays as it is.
namespace lathe::compress {

/// The same sparsity from the first mask on.
struct ConstantSparsity {
  float sparsity = 0.5f;         ///< share of zeros, [0,1)
  std::int64_t begin = 0;        ///< >= 0
  std::int64_t end = -1;         ///< last step at which the mask may change, >= begin; -1: never ends
  std::int64_t frequency = 100;  ///< steps between masks, >= 1
};

/// final + (initial - final) * (1 - p)^power with p = clamp((t - begin) / (end - begin), 0, 1): prunes
/// quickly while there is much to choose from. The last mask is made at the largest begin + k * frequency <=
/// end, a little before p = 1 unless that is end itself.
struct PolynomialDecay {
  float initial = 0;             ///< [0,1)
  float final = 0.5f;            ///< [0,1)
  std::int64_t begin = 0;        ///< >= 0
  std::int64_t end = 1000;       ///< > begin: there is no decay without an end
  float power = 3;               ///< > 0
  std::int64_t frequency = 100;  ///< >= 1
};

using SparsitySchedule = std::variant<ConstantSparsity, PolynomialDecay>;

/// Throws Error naming the first option that is out of range, or when no step t >= 1 would ever make a mask.
void validate(const SparsitySchedule& schedule);

/// Is a mask made at this step?
bool updates_at(const SparsitySchedule& schedule, std::int64_t step);

/// The share of zeros that a mask made at this step has.
float sparsity_at(const SparsitySchedule& schedule, std::int64_t step);

/// The first and the last step at which a mask is made; the last is -1 when that never ends.
std::int64_t first_update(const SparsitySchedule& schedule);
std::int64_t last_update(const SparsitySchedule& schedule);

/// Is the weight as sparse during this step as it is ever going to be? From the last mask on; with constant
/// sparsity from the first.
bool final_sparsity_reached(const SparsitySchedule& schedule, std::int64_t step);

/// "polynomial(0 -> 0.8, steps 0..2110, power 3, every 100)", for logs and run descriptions.
std::string to_string(const SparsitySchedule& schedule);

}  // namespace lathe::compress
