#include "progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace lathe::optim {
namespace {

constexpr int kMaxBar = 30;
constexpr int kMinBar = 6;  ///< brackets included

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

int columns(std::string_view text) { return static_cast<int>(std::ranges::count_if(text, starts_character)); }

std::string cut(std::string_view text, int width) {
  std::size_t end = 0;
  for (int used = 0; end < text.size(); ++end)
    if (starts_character(text[end]) && ++used > width) break;
  return std::string(text.substr(0, end));
}

std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  return result;
}

std::string bar(double done, int width) {
  const int inside = width - 2;
  const int full = std::clamp(static_cast<int>(done * inside), 0, inside);
  std::string result = "[" + std::string(static_cast<std::size_t>(full), '=');
  if (full < inside) result += '>';
  result.resize(static_cast<std::size_t>(width) - 1, ' ');
  return result + "]";
}

struct Part {
  std::string text;
  int importance;  ///< the lowest goes first
};

int total_columns(const std::vector<Part>& parts) {
  int total = static_cast<int>(parts.size()) - 1;  // spaces between them
  for (const Part& part : parts) total += columns(part.text);
  return total;
}

}  // namespace

std::string to_text(const ProgressLine& line, int width) {
  std::vector<Part> parts;
  if (!line.title.empty()) parts.push_back({printable(line.title), 4});
  parts.push_back({fmt::format("epoch {}/{}", line.epoch, line.epochs), 7});
  const std::size_t bar_at = parts.size();
  parts.push_back({line.validating ? "validating" : fmt::format("{:.0f}%", std::floor(line.done * 100)), 6});
  if (line.has_metrics) {
    parts.push_back({fmt::format("loss {:.4f}", line.loss), 5});
    parts.push_back({fmt::format("accuracy {:.2f}%", line.accuracy * 100), 3});
    parts.push_back({fmt::format("{:.0f} images/s", line.images_per_second), 1});
  }
  if (line.seconds_left >= 0) parts.push_back({"ETA " + duration_text(line.seconds_left), 2});

  const int left = width - total_columns(parts) - 1;
  if (left >= kMinBar)
    parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(bar_at),
                 {bar(line.done, std::min(left, kMaxBar)), 0});
  while (parts.size() > 1 && total_columns(parts) > width)
    parts.erase(std::ranges::min_element(parts, {}, &Part::importance));

  std::string result;
  for (const Part& part : parts) result += (result.empty() ? "" : " ") + part.text;
  return cut(result, std::max(width, 0));
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::clamp(std::round(seconds), 0.0, 1e9));
  const std::int64_t hours = whole / 3600, minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

}  // namespace lathe::optim
