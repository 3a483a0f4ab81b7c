#include "rows.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

namespace lathe::experiments {
namespace {

std::string text_or(const Cell& object, const char* key, std::string otherwise) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::move(otherwise);
}

Row read_row(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const Cell cell = Cell::parse(text, text + bytes.size(), nullptr, false);
  check(!cell.is_discarded(), "{} is not JSON", path.string());
  try {
    Row row = make_row(cell);
    if (row.id.empty()) row.id = path.stem().string();
    return row;
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
}

/// {"id": "reason"}; without the file an empty object, null when it is damaged.
Cell read_failed(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return Cell::object();
  const auto bytes = read_file(path);
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  Cell failed = Cell::parse(text, text + bytes.size(), nullptr, false);
  return failed.is_object() ? failed : Cell(nullptr);
}

void read_failures(Results& run) {
  const auto path = run.folder.root / "failed.json";
  const Cell failed = read_failed(path);
  if (failed.is_null()) {
    run.problems.push_back(fmt::format("{} is not a list of failures", path.string()));
    return;
  }
  for (const auto& [id, reason] : failed.items()) {
    const bool made_since =
        std::ranges::any_of(run.rows, [&id = id](const Row& row) { return row.id == id; });
    if (made_since || !reason.is_string()) continue;
    run.rows.push_back({.id = id,
                        .base = "?",
                        .kind = "?",
                        .error = reason.get<std::string>(),
                        .cell = {{"config", Cell::object()}, {"exp_id", id}, {"error", reason}}});
  }
}

}  // namespace

void write_failures(const ResultFolder& folder, const std::vector<Failure>& failures) {
  const auto path = folder.root / "failed.json";
  Cell failed = Cell::object();
  const Cell before = read_failed(path);
  for (const auto& [id, reason] : before.items())
    if (!std::filesystem::exists(folder.cell(id))) failed[id] = reason;
  for (const Failure& failure : failures) failed[failure.id] = failure.reason;
  if (failed.empty())
    std::filesystem::remove(path);
  else
    write_file(path, failed.dump(2, ' ', false, Cell::error_handler_t::replace) + "\n");
}

std::optional<double> Row::number(std::string_view column) const {
  const auto results = cell.find("results");
  if (results == cell.end() || !results->is_object()) return {};
  const auto found = results->find(std::string(column));
  if (found == results->end() || !found->is_number()) return {};
  const double value = found->get<double>();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

Row make_row(const Cell& cell) {
  check(cell.is_object() && cell.contains("config") && cell["config"].is_object(),
        "it is not a result of lathe: it has no configuration");
  const bool measured = cell.contains("results") && cell["results"].is_object();
  check(measured || cell.contains("error"), "it is not a result of lathe: it has no results");
  const Cell& config = cell["config"];
  Row row{.id = {}, .base = text_or(config, "base", "?"), .kind = text_or(config, "kind", "?"), .cell = cell};
  if (measured) row.id = text_or(cell["results"], "exp_id", "");
  if (row.id.empty() && config.contains("seed"))
    row.id = fmt::format("{}_{}_s{}", row.base, row.kind, config["seed"].dump());
  if (cell.contains("error"))
    row.error = cell["error"].is_string() ? cell["error"].get<std::string>() : cell["error"].dump();
  return row;
}

Results read_results(const std::filesystem::path& root) {
  Results run{.name = root.string(), .folder = {root}};
  const auto cells = root / "cells";
  check(std::filesystem::is_directory(root), "report: there is no folder {}", root.string());
  check(std::filesystem::is_directory(cells), "report: {} holds no results: it has no folder cells/",
        root.string());
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(cells))
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  check(!paths.empty(), "report: {} holds no results: there is no .json file", cells.string());
  std::ranges::sort(paths);
  for (const auto& path : paths) try {
      run.rows.push_back(read_row(path));
    } catch (const Error& error) {
      run.problems.emplace_back(error.what());
    }
  read_failures(run);
  const auto order = [](const Row& row) {
    const Cell& config = row.cell["config"];
    const bool has_seed = config.contains("seed") && config["seed"].is_number();
    return std::tuple(row.base, row.kind, has_seed ? config["seed"].get<double>() : 0.0, row.id);
  };
  std::ranges::stable_sort(run.rows, {}, order);
  if (run.rows.empty())
    fail("report: no result in {} can be read; the first: {}", cells.string(), run.problems.front());
  return run;
}

std::vector<std::string> variants_of(const std::vector<Row>& rows) {
  std::vector<std::string> variants = {"float", "fp16", "dynamic", "int8", "int16x8"};
  std::set<std::string> found;
  for (const Row& row : rows)
    if (row.cell.contains("results") && row.cell["results"].is_object())
      for (const auto& [key, value] : row.cell["results"].items())
        if (key.ends_with("_acc") && key != "test_acc") found.insert(key.substr(0, key.size() - 4));
  std::erase_if(variants, [&](const std::string& name) { return found.erase(name) == 0; });
  variants.insert(variants.end(), found.begin(), found.end());
  return variants;
}

Statistic statistic(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size(), middle = n / 2;
  Statistic result{.count = n, .lowest = values.front(), .highest = values.back()};
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(n);
  result.median = n % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  double squares = 0;
  for (double value : values) squares += (value - result.mean) * (value - result.mean);
  if (n > 1) result.deviation = std::sqrt(squares / static_cast<double>(n - 1));
  return result;
}

std::optional<Statistic> Group::over_seeds(std::string_view column) const {
  std::vector<double> values;
  for (const Row* row : rows)
    if (const auto value = row->number(column)) values.push_back(*value);
  if (values.empty()) return {};
  return statistic(std::move(values));
}

std::optional<double> Group::number(std::string_view column) const {
  const auto seeds = over_seeds(column);
  if (!seeds) return {};
  return column.ends_with("_ms") || column.ends_with("_seconds") ? seeds->median : seeds->mean;
}

std::vector<Group> group_rows(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  for (const Row& row : rows) {
    if (!row.error.empty()) continue;
    const auto same = std::ranges::find_if(
        groups, [&](const Group& group) { return group.base == row.base && group.kind == row.kind; });
    if (same != groups.end())
      same->rows.push_back(&row);
    else
      groups.push_back({row.base, row.kind, {&row}});
  }
  const auto order = [](const Group& group) {
    return std::tuple(group.base, group.kind != "baseline", std::ranges::count(group.kind, '+'), group.kind);
  };
  std::ranges::sort(groups, {}, order);
  return groups;
}

std::vector<std::size_t> pareto_front(const std::vector<CostAndAccuracy>& points) {
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {},
                           [&](std::size_t i) { return std::pair(points[i].cost, -points[i].accuracy); });
  std::vector<std::size_t> front;
  for (std::size_t i : order)
    if (front.empty() || points[i].accuracy > points[front.back()].accuracy) front.push_back(i);
  return front;
}

}  // namespace lathe::experiments
