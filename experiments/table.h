#pragma once

#include <string>
#include <vector>

namespace lathe::experiments {

/// Rows of texts under a header, for a terminal, a Markdown file or a page. Columns whose cells all look like
/// numbers are right-aligned.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  /// More to say about each cell (the values of the seeds), shown when it is pointed at; empty or as many as
  /// `rows`.
  std::vector<std::vector<std::string>> hover = {};
};

std::string to_text(const Table& table);
std::string to_markdown(const Table& table);
/// RFC 4180: fields with commas, quotes or line breaks are quoted.
std::string to_csv(const Table& table);
/// <table> with a caption and the class `kind`; numbers are right-aligned.
std::string to_html(const Table& table, const std::string& caption, const std::string& kind = {});

}  // namespace lathe::experiments
