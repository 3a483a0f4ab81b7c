#include "method_tables.h"

#include "published.h"
#include "words.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

constexpr const char* kDash = "–";

std::string in_ms(double ms) { return fmt::format("{:.1f}", ms); }
std::string in_kilobytes(double bytes) { return fmt::format("{:.2f}", bytes / 1024); }

template <typename Format>
std::string formatted(const std::optional<double>& value, const Format& format) {
  return value ? format(*value) : kDash;
}

/// The place of a text in a list, which grows when it is new.
std::size_t place_of(std::vector<std::string>& list, const std::string& text) {
  const auto found = std::ranges::find(list, text);
  if (found != list.end()) return static_cast<std::size_t>(found - list.begin());
  list.push_back(text);
  return list.size() - 1;
}

}  // namespace

Table method_table(const std::vector<MethodResult>& results) {
  std::vector<std::string> optimisations, methods;
  for (const MethodResult& result : results) {
    place_of(optimisations, result.optimisation);
    place_of(methods, result.method);
  }
  Table table{{"optimisation"}, {}};
  table.header.insert(table.header.end(), methods.begin(), methods.end());
  for (const std::string& name : optimisations) {
    table.rows.emplace_back(methods.size() + 1, kDash);
    table.rows.back()[0] = name;
  }
  for (const MethodResult& result : results)
    if (result.accuracy || result.total_ms || result.bytes)
      table.rows[place_of(optimisations, result.optimisation)][place_of(methods, result.method) + 1] =
          fmt::format("{} / {} / {}", formatted(result.accuracy, percent), formatted(result.total_ms, in_ms),
                      formatted(result.bytes, in_kilobytes));
  return table;
}

Table published_method_table(const std::vector<MethodResult>& results, std::vector<std::string>& behind) {
  Table table{{"optimisation", "method", "acc %", "published", "points", "KB", "published", "smaller",
               "total ms", "published, other machine", "verdict"},
              {}};
  for (const MethodResult& result : results) {
    const PublishedMethod* published = find_published_method(result.optimisation, result.method);
    if (published == nullptr) continue;
    const bool less = result.accuracy && *result.accuracy < published->accuracy - 1e-9;
    const bool larger = result.bytes && *result.bytes > 1024 * published->kilobytes;
    const std::string worse = less && larger ? "accuracy, bytes" : less ? "accuracy" : larger ? "bytes" : "";
    if (!worse.empty()) behind.push_back(fmt::format("{} {}: {}", result.optimisation, result.method, worse));
    table.rows.push_back({result.optimisation, result.method, formatted(result.accuracy, percent),
                          percent(published->accuracy),
                          result.accuracy ? points(*result.accuracy - published->accuracy) : kDash,
                          formatted(result.bytes, in_kilobytes), fmt::format("{:.2f}", published->kilobytes),
                          result.bytes && *result.bytes > 0
                              ? fmt::format("{:.2f}x", 1024 * published->kilobytes / *result.bytes)
                              : kDash,
                          formatted(result.total_ms, in_ms), in_ms(published->total_ms),
                          !worse.empty()                    ? "behind: " + worse
                          : result.accuracy && result.bytes ? "better or equal"
                                                            : "incomplete"});
  }
  return table;
}

}  // namespace lathe::experiments
