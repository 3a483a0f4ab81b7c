#include "number_text.h"

#include <lathe/base/error.h>

#include <charconv>

namespace lathe::optim {

std::string exact_text(double value) { return fmt::format("{}", value); }

double parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), "'{}' is not a number", text);
  return value;
}

std::string exact_text(std::initializer_list<double> values) {
  std::string result;
  for (double value : values) result += (result.empty() ? "" : " ") + exact_text(value);
  return result;
}

void parse_numbers(std::string_view text, std::span<double> values) {
  const std::string_view whole = text;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t space = text.find(' ');
    check((space == std::string_view::npos) == (i + 1 == values.size()), "'{}' is not {} numbers", whole,
          values.size());
    values[i] = parse_number(text.substr(0, space));
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
}

}  // namespace lathe::optim
