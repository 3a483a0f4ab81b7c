#pragma once

#include <string>
#include <vector>

namespace lathe::experiments {

/// Rows of texts under a header, for a terminal or a Markdown file. Columns whose cells all look like numbers
/// are right-aligned.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

std::string to_text(const Table& table);
std::string to_markdown(const Table& table);
/// RFC 4180: fields with commas, quotes or line breaks are quoted.
std::string to_csv(const Table& table);

}  // namespace lathe::experiments
