#include "document.h"
#include "page.h"
#include "words.h"

#include <lathe/version.h>

#include <fmt/format.h>

namespace lathe::experiments {
namespace {

std::string to_html(const Paragraph& block) { return "<p>" + block.text.html() + "</p>\n"; }
std::string to_html(const Warning& block) {
  return "<p class=\"warning\" role=\"note\">" + block.text.html() + "</p>\n";
}
std::string to_html(const Heading& block) { return "<h3>" + escape_html(block.text) + "</h3>\n"; }

std::string to_html(const Commands& block) {
  std::string lines;
  for (std::size_t begin = 0; begin <= block.text.size();) {
    const std::size_t end = std::min(block.text.find('\n', begin), block.text.size());
    lines += (begin > 0 ? "\n" : "") + escape_html(block.text.substr(begin, end - begin));
    begin = end + 1;
  }
  return "<pre tabindex=\"0\"><code>" + lines + "</code></pre>\n";
}

std::string to_html(const Bullets& block) {
  std::string text = "<ul>\n";
  for (const Text& item : block.items) text += "<li>" + item.html() + "</li>\n";
  return text + "</ul>\n";
}

std::string to_html(const TableBlock& block) {
  const std::string table =
      fmt::format("<div class=\"scroll{}\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n{}</div>\n",
                  block.table.rows.size() > 25 ? " tall" : "", escape_html(block.caption),
                  to_html(block.table, block.caption, block.fixed ? "fixed" : ""));
  if (!block.folded) return table;
  return "<details><summary>" + escape_html(block.caption) + "</summary>\n" + table + "</details>\n";
}

std::string to_html(const FigureBlock& block) {
  if (block.svg.empty()) return "";
  return fmt::format(
      "<figure id=\"{0}\"><div>{1}</div>\n<figcaption id=\"{0}-caption\">{2}</figcaption></figure>\n",
      slug(block.name), block.svg, escape_html(block.caption));
}

std::string to_html(const ChooserBlock& block) {
  auto files = nlohmann::ordered_json::array();
  for (const Candidate& candidate : block.candidates)
    files.push_back({{"file", candidate.file.string()},
                     {"acc", candidate.accuracy},
                     {"bytes", candidate.bytes},
                     {"ms", candidate.median_ms},
                     {"command", try_command(candidate)}});
  using Json = nlohmann::ordered_json;
  std::string json;
  // Within a script nothing is escaped but by JSON itself.
  for (char c : files.dump(-1, ' ', true, Json::error_handler_t::replace))
    json += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return "<form id=\"limits\" hidden>\n"
         "<label>Largest file, bytes<input name=\"bytes\" type=\"number\" min=\"0\" step=\"any\" "
         "inputmode=\"decimal\"></label>\n"
         "<label>Slowest run, ms<input name=\"ms\" type=\"number\" min=\"0\" step=\"any\" "
         "inputmode=\"decimal\"></label>\n"
         "<label>Lowest accuracy, %<input name=\"acc\" type=\"number\" min=\"0\" max=\"100\" "
         "step=\"any\" "
         "inputmode=\"decimal\"></label>\n"
         "</form>\n<div id=\"answer\" aria-live=\"polite\"></div>\n"
         "<script type=\"application/json\" id=\"files\">" +
         json + "</script>\n";
}

}  // namespace

std::string Text::html() const {
  std::string result;
  for (const Piece& piece : pieces_) {
    const std::string text = escape_html(piece.text);
    switch (piece.style) {
      case Style::plain:
        result += text;
        break;
      case Style::strong:
        result += "<strong>" + text + "</strong>";
        break;
      case Style::code:
        result += "<code>" + text + "</code>";
        break;
      case Style::link:
        result += fmt::format("<a href=\"{}\">{}</a>", escape_html(piece.target), text);
        break;
    }
  }
  return result;
}

std::string to_html(const Document& document) {
  const std::string title = escape_html(document.title);
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta name=\"generator\" content=\"lathe "
      "{}\">\n<link "
      "rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<a "
      "class=\"skip\" "
      "href=\"#main\">Skip to the results</a>\n<header>\n<h1>{}</h1>\n<nav aria-label=\"Sections\"><ul>\n",
      document.language, kVersion, title, kPageStyle, title);
  for (const Section& section : document.sections)
    text += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", slug(section.title), escape_html(section.title));
  text += "</ul></nav>\n</header>\n<main id=\"main\">\n";
  for (const Section& section : document.sections) {
    text += fmt::format("<section aria-labelledby=\"{0}\">\n<h2 id=\"{0}\">{1}</h2>\n", slug(section.title),
                        escape_html(section.title));
    for (const Block& block : section.blocks)
      text += std::visit([](const auto& content) { return to_html(content); }, block);
    text += "</section>\n";
  }
  return text + "</main>\n<div id=\"say\" class=\"sr\" aria-live=\"polite\"></div>\n<script>" +
         std::string(kPageScript) + "</script>\n</body>\n</html>\n";
}

}  // namespace lathe::experiments
