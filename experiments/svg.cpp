#include "gnuplot.h"
#include "words.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lathe::experiments {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

/// The end of the tag that begins at `begin`, behind its '>', which may stand within quotes.
std::size_t tag_end(std::string_view text, std::size_t begin) {
  char quote = 0;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0)
      quote = c == quote ? 0 : quote;
    else if (c == '"' || c == '\'')
      quote = c;
    else if (c == '>')
      return i + 1;
  }
  return text.size();
}

/// The place behind the next `what`; without one the end of the text.
std::size_t behind(std::string_view text, std::string_view what, std::size_t from) {
  const std::size_t found = text.find(what, from);
  return found == std::string_view::npos ? text.size() : found + what.size();
}

/// Takes an attribute out of a tag; empty when it is not there.
std::string take_attribute(std::string& tag, std::string_view name) {
  for (const char quote : {'"', '\''}) {
    const std::string start = fmt::format(" {}={}", name, quote);
    const std::size_t begin = tag.find(start);
    if (begin == std::string::npos) continue;
    const std::size_t value = begin + start.size(), end = tag.find(quote, value);
    if (end == std::string::npos) return {};
    std::string result = tag.substr(value, end - value);
    tag.erase(begin, end + 1 - begin);
    return result;
  }
  return {};
}

/// The text of showHypertext(evt,'TEXT').
std::string hypertext(std::string_view call) {
  const std::size_t begin = call.find("evt,'"), end = call.rfind('\'');
  if (begin == std::string_view::npos || end < begin + 5) return {};
  return std::string(call.substr(begin + 5, end - begin - 5));
}

/// "#1f6fb4" as gnuplot writes it: of lines "rgb( 31, 111, 180)", of texts "rgb(31,111,180)".
std::array<std::string, 3> written(std::string_view hex) {
  const auto part = [&](std::size_t at) { return std::stoi(std::string(hex.substr(at, 2)), nullptr, 16); };
  const int red = part(1), green = part(3), blue = part(5);
  return {std::string(hex), fmt::format("rgb({:3}, {:3}, {:3})", red, green, blue),
          fmt::format("rgb({},{},{})", red, green, blue)};
}

}  // namespace

std::string clean_svg(std::string_view svg) {
  std::string result;
  for (std::size_t at = 0; at < svg.size();) {
    if (svg[at] != '<') {
      const std::size_t next = std::min(svg.find('<', at), svg.size());
      result += svg.substr(at, next - at);
      at = next;
      continue;
    }
    const std::size_t end = svg.substr(at).starts_with("<!--") ? behind(svg, "-->", at) : tag_end(svg, at);
    std::string tag(svg.substr(at, end - at));
    const std::string_view rest = svg.substr(at);
    at = end;
    if (rest.starts_with("<!--")) continue;
    if (rest.starts_with("<script")) {
      if (!tag.ends_with("/>")) at = behind(svg, "</script>", at);
      continue;
    }
    // What gnuplot's own script would show: a picture to click on, an empty box for texts.
    if (rest.starts_with("<image") && tag.find("href='data:image/png;base64,") == std::string::npos) continue;
    if (tag.find("id=\"hypertext") != std::string::npos || tag.find("id=\"coord_text") != std::string::npos) {
      if (rest.starts_with("<text")) at = behind(svg, "</text>", at);
      continue;
    }
    if (rest.starts_with("<title>") || rest.starts_with("<desc>")) {  // "gnuplot_plot_1"
      const std::string_view close = rest.starts_with("<title>") ? "</title>" : "</desc>";
      const std::size_t stop = svg.find(close, at);
      if (stop != std::string_view::npos) at = stop + close.size();
      continue;
    }
    std::replace(tag.begin(), tag.end(), '\n', ' ');
    const std::string moved = take_attribute(tag, "onmousemove");
    for (const char* event : {"onclick", "onload", "onmouseout", "onmouseover"}) take_attribute(tag, event);
    if (tag.find("id=\"gnuplot_") != std::string::npos) take_attribute(tag, "id");
    const std::string value = hypertext(moved);
    if (!value.empty() && tag.starts_with("<g"))
      tag = fmt::format("<g data-value=\"{0}\"><title>{0}</title>", value);
    if (rest.starts_with("<rect x=\"0\" y=\"0\"")) {  // the ground needs no frame
      take_attribute(tag, "stroke");
      take_attribute(tag, "stroke-width");
    }
    result += tag;
  }
  return result;
}

std::string inline_svg(std::string_view svg, const std::string& name, const std::string& label) {
  if (svg.find("<svg") == std::string_view::npos) return {};
  std::string text(svg.substr(svg.find("<svg")));
  const std::string id = slug(name);
  replace_all(text, "id='gp", "id='" + id + "-gp");
  replace_all(text, "#gp", "#" + id + "-gp");
  replace_all(text, "id='textbox'", "id='" + id + "-textbox'");
  replace_all(text, "id='greybox'", "id='" + id + "-greybox'");
  const std::size_t end = tag_end(text, 0);
  std::string head = text.substr(0, end);
  take_attribute(head, "width");
  take_attribute(head, "height");
  head.insert(4, fmt::format(" role=\"img\" aria-label=\"{}\"", escape_html(label)));
  text = head + text.substr(end);
  // In quotes: a text of these words stays as it is.
  const auto exchange = [&](std::string_view color, const std::string& variable) {
    for (const char quote : {'"', '\''})
      for (const std::string& form : written(color))
        replace_all(text, quote + form + quote, fmt::format("{0}var(--{1}){0}", quote, variable));
  };
  exchange(palette::kPaper, "paper");
  exchange("#FFFFFF", "paper");
  exchange(palette::kInk, "ink");
  exchange(palette::kMuted, "muted");
  exchange(palette::kLine, "line");
  for (std::size_t i = 0; i < std::size(palette::kSeries); ++i)
    exchange(palette::kSeries[i], fmt::format("c{}", i));
  for (std::size_t i = 0; i < std::size(palette::kHeat); ++i)
    exchange(palette::kHeat[i], fmt::format("heat{}", i));
  for (const char quote : {'"', '\''})
    replace_all(text, fmt::format("{0}black{0}", quote), fmt::format("{0}var(--ink){0}", quote));
  return text;
}

}  // namespace lathe::experiments
