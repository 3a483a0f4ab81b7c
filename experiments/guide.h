#pragma once

#include "rows.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lathe::experiments {

/// A deployed file with what was measured of it.
struct Candidate {
  std::string id, base, kind, variant;
  std::filesystem::path file;
  std::string dataset;
  std::string split = {};  ///< options that name its test set, where they are not the defaults
  double accuracy = 0;     ///< share
  double bytes = 0;
  double median_ms = 0;
};

struct Limits {
  std::optional<double> max_bytes, max_ms;
  std::optional<double> min_accuracy;  ///< share
};

/// Every variant of every experiment that has an accuracy, a size and a latency.
std::vector<Candidate> candidates(const Results& run);

/// The file to ship. With a lowest accuracy: the smallest within the limits; without one: the most accurate
/// within them. Of equal ones the smaller, then the faster. Null when none is within the limits.
const Candidate* choose(const std::vector<Candidate>& candidates, const Limits& limits);

/// How near the candidates come, for when none is chosen: "the smallest file has 1,862 bytes, ...".
std::string why_none(const std::vector<Candidate>& candidates, const Limits& limits);

/// The smallest file that loses at most `loss` (a share) against the most accurate one: what to ship when
/// nothing else is known. Null without candidates.
const Candidate* recommend(const std::vector<Candidate>& candidates, double loss = 0.001);

/// "'results/models/a b.lathe'": an argument as a shell takes it.
std::string shell_quote(const std::string& text);

/// "lathe eval FILE --dataset NAME".
std::string try_command(const Candidate& candidate);

}  // namespace lathe::experiments
