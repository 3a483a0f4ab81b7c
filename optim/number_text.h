#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace lathe::optim {

/// A number as text that parse_number() gives back exactly, infinite and nan included.
std::string exact_text(double value);

/// Throws Error unless the whole text is a number.
double parse_number(std::string_view text);

/// Several numbers with spaces between them.
std::string exact_text(std::initializer_list<double> values);

/// Throws Error unless the text is as many numbers.
void parse_numbers(std::string_view text, std::span<double> values);

}  // namespace lathe::optim
