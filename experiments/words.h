#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe::experiments {

/// Numbers as people read them, and texts from outside in the languages of a report.

std::string percent(double share);       ///< 0.9938 -> "99.38"
std::string points(double share);        ///< a difference in percentage points, signed: "+0.31"
std::string microseconds(double ms);     ///< 0.01056 -> "10.56"
std::string with_commas(double number);  ///< 116532 -> "116,532"; rounded to whole
std::string significant(double number);  ///< six significant digits

/// For the text of an element and for attributes in double or single quotes. Control characters become
/// spaces; bytes that are not UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);
/// As text in Markdown, also within a table.
std::string escape_markdown(std::string_view text);
/// `text` as code in Markdown, whatever backticks it holds; within a table pipes are escaped.
std::string markdown_code(std::string_view text);
/// A string in a gnuplot script, with its quotes. Nothing in it is interpreted.
std::string quote_gnuplot(std::string_view text);
/// A name for a file and an HTML id: letters, digits, dots, dashes; everything else becomes _.
std::string slug(std::string_view text);
/// Columns it takes on a terminal: characters, not bytes.
std::size_t display_width(std::string_view text);

}  // namespace lathe::experiments
