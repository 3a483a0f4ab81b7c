#pragma once

#include "guide.h"
#include "table.h"

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace lathe::experiments {

/// A report before it is Markdown or HTML. All texts are plain: whoever renders them escapes them.

/// A line of text with parts that are code, strong or links.
class Text {
 public:
  Text() = default;
  Text(std::string text) { plain(std::move(text)); }  // NOLINT: texts are written as strings
  Text(const char* text) { plain(text); }             // NOLINT
  Text& plain(std::string text) { return add(Style::plain, std::move(text)); }
  Text& strong(std::string text) { return add(Style::strong, std::move(text)); }
  Text& code(std::string text) { return add(Style::code, std::move(text)); }
  /// `target` is relative to the report.
  Text& link(std::string text, std::string target) {
    return add(Style::link, std::move(text), std::move(target));
  }

  Text& add_text(const Text& text) {
    pieces_.insert(pieces_.end(), text.pieces_.begin(), text.pieces_.end());
    return *this;
  }

  std::string markdown() const;
  std::string html() const;

 private:
  enum class Style { plain, strong, code, link };
  struct Piece {
    Style style;
    std::string text, target;
  };
  Text& add(Style style, std::string text, std::string target = {}) {
    pieces_.push_back({style, std::move(text), std::move(target)});
    return *this;
  }
  std::vector<Piece> pieces_;
};

struct Paragraph {
  Text text;
};
/// What nobody may overlook: generated data, failures.
struct Warning {
  Text text;
};
struct Bullets {
  std::vector<Text> items;
};
/// Lines to copy into a shell.
struct Commands {
  std::string text;
};
struct Heading {
  std::string text;
};
struct TableBlock {
  std::string caption;
  Table table;
  bool folded = false;  ///< HTML shows it when it is asked to
  bool fixed = false;   ///< its order says something: it does not sort
};
struct FigureBlock {
  std::string name;     ///< of figures/<name>.png
  std::string caption;  ///< what it shows and how to read it
  std::string svg;      ///< drawn; empty: it is not there, and only its caption's first words are of use
};
/// A form that chooses among the candidates by limits; only HTML has it.
struct ChooserBlock {
  std::vector<Candidate> candidates;
};
using Block =
    std::variant<Paragraph, Warning, Bullets, Commands, Heading, TableBlock, FigureBlock, ChooserBlock>;

struct Section {
  std::string title;
  std::vector<Block> blocks;
};

struct Document {
  std::string title;
  std::string language = "en";
  std::vector<Section> sections;
};

std::string to_markdown(const Document& document);
/// One file with everything in it: opens from disk, needs no network, follows the reader's light or dark.
std::string to_html(const Document& document);

}  // namespace lathe::experiments
