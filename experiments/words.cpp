#include "words.h"

#include <fmt/format.h>

#include <cmath>
#include <cstddef>

namespace lathe::experiments {
namespace {

/// Bytes of the UTF-8 character at the front; 0 when it is none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) < 0x80             ? 1
                           : (byte(0) & 0xe0) == 0xc0 ? 2
                           : (byte(0) & 0xf0) == 0xe0 ? 3
                           : (byte(0) & 0xf8) == 0xf0 ? 4
                                                      : 0;
  if (size == 0 || size > text.size() || byte(0) == 0xc0 || byte(0) == 0xc1 || byte(0) > 0xf4) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return size;
}

/// Calls take(character) for each, control characters as spaces and broken bytes as U+FFFD.
template <typename Take>
void for_each_character(std::string_view text, const Take& take) {
  while (!text.empty()) {
    const std::size_t size = character(text);
    if (size == 0)
      take(std::string_view("\xef\xbf\xbd"));
    else if (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f)
      take(std::string_view(" "));
    else
      take(text.substr(0, size));
    text.remove_prefix(size == 0 ? 1 : size);
  }
}

}  // namespace

std::string percent(double share) { return fmt::format("{:.2f}", 100 * share); }

std::string points(double share) {
  const double rounded = std::round(10000 * share) / 100;
  return rounded == 0 ? "0.00" : fmt::format("{:+.2f}", rounded);
}

std::string microseconds(double ms) { return fmt::format("{:.2f}", 1000 * ms); }

std::string with_commas(double number) {
  std::string digits = fmt::format("{:.0f}", std::abs(number));
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<std::size_t>(i), ",");
  return (number < 0 && digits != "0" ? "-" : "") + digits;
}

std::string significant(double number) { return fmt::format("{:.6g}", number); }

std::string escape_html(std::string_view text) {
  std::string result;
  for_each_character(text, [&](std::string_view c) {
    switch (c[0]) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  });
  return result;
}

std::string escape_markdown(std::string_view text) {
  std::string result;
  for_each_character(text, [&](std::string_view c) {
    if (c == "<")
      result += "&lt;";
    else if (c == "&")
      result += "&amp;";
    else if (std::string_view("\\`*[]|~").find(c) != std::string_view::npos)
      result += "\\" + std::string(c);
    else
      result += c;
  });
  return result;
}

std::string markdown_code(std::string_view text) {
  std::string body, fence = "`";
  for_each_character(text, [&](std::string_view c) { body += c == "|" ? "\\|" : std::string(c); });
  while (body.find(fence) != std::string::npos) fence += '`';
  const bool space = !body.empty() && (body.front() == '`' || body.back() == '`');
  return fence + (space ? " " : "") + body + (space ? " " : "") + fence;
}

std::string quote_gnuplot(std::string_view text) {
  std::string result = "'";
  for_each_character(text, [&](std::string_view c) { result += c == "'" ? "''" : std::string(c); });
  return result + "'";
}

std::string slug(std::string_view text) {
  std::string result;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || (c == '.' && !result.empty());
    result += plain ? c : '_';
  }
  return result.empty() ? "_" : result.substr(0, 120);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for_each_character(text, [&](std::string_view) { ++width; });
  return width;
}

}  // namespace lathe::experiments
