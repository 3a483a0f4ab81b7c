#include "table.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

bool numeric(const std::string& text) {
  return text.find_first_not_of("0123456789.,+-%e x") == std::string::npos;
}

struct Column {
  std::size_t width = 0;
  bool right = true;
};

std::vector<Column> columns(const Table& table) {
  std::vector<Column> result(table.header.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].width = table.header[i].size();
    for (const auto& row : table.rows) {
      result[i].width = std::max(result[i].width, row[i].size());
      result[i].right = result[i].right && numeric(row[i]);
    }
  }
  return result;
}

std::string line(const std::vector<std::string>& row, const std::vector<Column>& columns, const char* before,
                 const char* between, const char* after) {
  std::string text = before;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) text += between;
    text += columns[i].right ? fmt::format("{:>{}}", row[i], columns[i].width)
                             : fmt::format("{:<{}}", row[i], columns[i].width);
  }
  return text + after;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::string to_text(const Table& table) {
  const auto layout = columns(table);
  std::string text = line(table.header, layout, "", "  ", "\n");
  for (const auto& row : table.rows) text += line(row, layout, "", "  ", "\n");
  return text;
}

std::string to_markdown(const Table& table) {
  const auto layout = columns(table);
  std::string text = line(table.header, layout, "| ", " | ", " |\n");
  text += "|";
  for (const Column& column : layout)
    text += std::string(column.width + 1, '-') + (column.right ? ":|" : "-|");
  text += "\n";
  for (const auto& row : table.rows) text += line(row, layout, "| ", " | ", " |\n");
  return text;
}

std::string to_csv(const Table& table) {
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < row.size(); ++i) text += (i > 0 ? "," : "") + csv_field(row[i]);
    text += "\n";
  };
  add(table.header);
  for (const auto& row : table.rows) add(row);
  return text;
}

}  // namespace lathe::experiments
