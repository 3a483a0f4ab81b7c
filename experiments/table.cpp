#include "table.h"

#include "words.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

bool numeric(const std::string& text) {
  return text == "–" || text.find("±") != std::string::npos ||
         text.find_first_not_of("0123456789.,+-%e x") == std::string::npos;
}

struct Column {
  std::size_t width = 0;
  bool right = true;
};

std::vector<Column> columns(const Table& table) {
  std::vector<Column> result(table.header.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i].width = display_width(table.header[i]);
    for (const auto& row : table.rows) {
      result[i].width = std::max(result[i].width, display_width(row[i]));
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
    const std::string space(columns[i].width - std::min(columns[i].width, display_width(row[i])), ' ');
    text += columns[i].right ? space + row[i] : row[i] + space;
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
  Table escaped{table.header, table.rows};
  for (std::string& text : escaped.header) text = escape_markdown(text);
  for (auto& row : escaped.rows)
    for (std::string& text : row) text = escape_markdown(text);
  const auto layout = columns(escaped);
  std::string text = line(escaped.header, layout, "| ", " | ", " |\n");
  text += "|";
  for (const Column& column : layout)
    text += std::string(column.width + 1, '-') + (column.right ? ":|" : "-|");
  text += "\n";
  for (const auto& row : escaped.rows) text += line(row, layout, "| ", " | ", " |\n");
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

std::string to_html(const Table& table, const std::string& caption, const std::string& kind) {
  const auto layout = columns(table);
  std::string text = (kind.empty() ? "<table>" : "<table class=\"" + escape_html(kind) + "\">") +
                     "\n<caption>" + escape_html(caption) + "</caption>\n<thead><tr>";
  for (std::size_t i = 0; i < table.header.size(); ++i)
    text += fmt::format("<th scope=\"col\"{}>{}</th>", layout[i].right ? " class=\"n\"" : "",
                        escape_html(table.header[i]));
  text += "</tr></thead>\n<tbody>\n";
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    text += "<tr>";
    for (std::size_t i = 0; i < table.rows[r].size(); ++i) {
      const std::string hover = table.hover.empty() ? "" : table.hover[r][i];
      text += fmt::format("<{}{}{}>{}</{}>", i == 0 ? "th scope=\"row\"" : "td",
                          layout[i].right ? " class=\"n\"" : "",
                          hover.empty() ? "" : " title=\"" + escape_html(hover) + "\"",
                          escape_html(table.rows[r][i]), i == 0 ? "th" : "td");
    }
    text += "</tr>\n";
  }
  return text + "</tbody>\n</table>\n";
}

}  // namespace lathe::experiments
