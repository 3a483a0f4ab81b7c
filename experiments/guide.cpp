#include "guide.h"

#include "words.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace lathe::experiments {
namespace {

bool within(const Candidate& candidate, const Limits& limits) {
  return (!limits.max_bytes || candidate.bytes <= *limits.max_bytes) &&
         (!limits.max_ms || candidate.median_ms <= *limits.max_ms) &&
         (!limits.min_accuracy || candidate.accuracy >= *limits.min_accuracy);
}

/// Cells of photos say how these were split.
std::string split_options(const Cell& cell) {
  const auto start = cell.find("start");
  if (start == cell.end() || !start->is_object()) return {};
  const auto option = [](const char* name, const Cell& values, const char* key) {
    const auto value = values.find(key);
    const bool given = value != values.end() && value->is_number_integer() && *value != 0;
    return given ? fmt::format(" {} {}", name, value->dump()) : "";
  };
  return option("--test-above", *start, "test_above") + option("--seed", cell["config"], "seed");
}

}  // namespace

std::vector<Candidate> candidates(const Results& run) {
  std::vector<Candidate> result;
  const std::vector<std::string> variants = variants_of(run.rows);
  for (const Row& row : run.rows) {
    if (!row.error.empty()) continue;
    for (const std::string& variant : variants) {
      const auto accuracy = row.number(variant + "_acc"), bytes = row.number(variant + "_bytes"),
                 median = row.number(variant + "_median_ms");
      if (!accuracy || !bytes || !median) continue;
      const Cell& config = row.cell["config"];
      result.push_back({.id = row.id,
                        .base = row.base,
                        .kind = row.kind,
                        .variant = variant,
                        .file = run.folder.model(row.id, variant),
                        .dataset = config.contains("dataset") && config["dataset"].is_string()
                                       ? config["dataset"].get<std::string>()
                                       : "mnist",
                        .split = split_options(row.cell),
                        .accuracy = *accuracy,
                        .bytes = *bytes,
                        .median_ms = *median});
    }
  }
  return result;
}

const Candidate* choose(const std::vector<Candidate>& candidates, const Limits& limits) {
  const auto worth = [&](const Candidate& candidate) {
    return limits.min_accuracy ? std::tuple(candidate.bytes, -candidate.accuracy, candidate.median_ms)
                               : std::tuple(-candidate.accuracy, candidate.bytes, candidate.median_ms);
  };
  const Candidate* best = nullptr;
  for (const Candidate& candidate : candidates)
    if (within(candidate, limits) && (best == nullptr || worth(candidate) < worth(*best))) best = &candidate;
  return best;
}

std::string why_none(const std::vector<Candidate>& candidates, const Limits& limits) {
  if (candidates.empty()) return "no file has an accuracy, a size and a latency";
  // Each limit alone; when each can be met, they exclude one another.
  std::vector<std::string> reasons;
  if (limits.max_bytes) {
    const auto smallest = std::ranges::min_element(candidates, {}, &Candidate::bytes);
    if (smallest->bytes > *limits.max_bytes)
      reasons.push_back(
          fmt::format("the smallest file has {} bytes ({})", with_commas(smallest->bytes), smallest->id));
  }
  if (limits.max_ms) {
    const auto fastest = std::ranges::min_element(candidates, {}, &Candidate::median_ms);
    if (fastest->median_ms > *limits.max_ms)
      reasons.push_back(fmt::format("the fastest takes {:.3g} ms ({})", fastest->median_ms, fastest->id));
  }
  if (limits.min_accuracy) {
    const auto best = std::ranges::max_element(candidates, {}, &Candidate::accuracy);
    if (best->accuracy < *limits.min_accuracy)
      reasons.push_back(
          fmt::format("the most accurate reaches {} % ({})", percent(best->accuracy), best->id));
  }
  if (reasons.empty()) return "each limit can be met, but not all together by one file";
  std::string text;
  for (const std::string& reason : reasons) text += (text.empty() ? "" : "; ") + reason;
  return text;
}

const Candidate* recommend(const std::vector<Candidate>& candidates, double loss) {
  const Candidate* best = choose(candidates, {});
  if (best == nullptr) return nullptr;
  return choose(candidates, {.min_accuracy = best->accuracy - loss - 1e-9});
}

std::string shell_quote(const std::string& text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("_-./+:,=@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string try_command(const Candidate& candidate) {
  return fmt::format("lathe eval {} --dataset {}{}", shell_quote(candidate.file.string()),
                     shell_quote(candidate.dataset), candidate.split);
}

}  // namespace lathe::experiments
