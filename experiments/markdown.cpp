#include "document.h"
#include "words.h"

#include <fmt/format.h>

namespace lathe::experiments {
namespace {

std::string to_markdown(const Paragraph& block) { return block.text.markdown() + "\n"; }
std::string to_markdown(const Warning& block) { return "> **Note:** " + block.text.markdown() + "\n"; }
std::string to_markdown(const Commands& block) { return "```sh\n" + block.text + "\n```\n"; }
std::string to_markdown(const Heading& block) { return "### " + escape_markdown(block.text) + "\n"; }

std::string to_markdown(const Bullets& block) {
  std::string text;
  for (const Text& item : block.items) text += "- " + item.markdown() + "\n";
  return text;
}

std::string to_markdown(const TableBlock& block) {
  return (block.caption.empty() ? "" : escape_markdown(block.caption) + "\n\n") + to_markdown(block.table);
}

std::string to_markdown(const FigureBlock& block) {
  if (block.svg.empty()) return "";
  return fmt::format("![{}](figures/{}.png)\n\n{}\n", escape_markdown(block.caption), block.name,
                     escape_markdown(block.caption));
}

std::string to_markdown(const ChooserBlock&) { return ""; }

}  // namespace

std::string Text::markdown() const {
  std::string result;
  for (const Piece& piece : pieces_) switch (piece.style) {
      case Style::plain:
        result += escape_markdown(piece.text);
        break;
      case Style::strong:
        result += "**" + escape_markdown(piece.text) + "**";
        break;
      case Style::code:
        result += markdown_code(piece.text);
        break;
      case Style::link:
        result += fmt::format("[{}](<{}>)", escape_markdown(piece.text), escape_markdown(piece.target));
        break;
    }
  return result;
}

std::string to_markdown(const Document& document) {
  std::string text = "# " + escape_markdown(document.title) + "\n";
  for (const Section& section : document.sections) {
    text += "\n## " + escape_markdown(section.title) + "\n";
    for (const Block& block : section.blocks) {
      const std::string part = std::visit([](const auto& content) { return to_markdown(content); }, block);
      if (!part.empty()) text += "\n" + part;
    }
  }
  return text;
}

}  // namespace lathe::experiments
