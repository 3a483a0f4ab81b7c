#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::experiments {

/// A figure as data and the gnuplot commands that draw it.
struct Figure {
  std::string name;     ///< of its files: only letters, digits, dots, dashes
  std::string caption;  ///< what it shows and how to read it
  int width = 720, height = 460;
  std::string data;    ///< <name>.dat: columns separated by tabs
  std::string script;  ///< without terminal and output; reads '<name>.dat'
};

/// A figure that was drawn.
struct Drawing {
  std::string svg;    ///< to be put into a page; its colours are variables of the page's style
  std::string error;  ///< why there is none; empty: there is
};

/// Whether gnuplot can be started.
bool has_gnuplot();

/// Writes <name>.dat and <name>.gp into the folder and, with gnuplot there, makes <name>.png (twice the size)
/// and <name>.svg out of them.
Drawing draw(const Figure& figure, const std::filesystem::path& folder, bool gnuplot);

/// The SVG of gnuplot without scripts; values that show when they are pointed at become
/// <g data-value="..."><title>...</title>. Throws nothing; what it does not know it leaves as it is.
std::string clean_svg(std::string_view svg);
/// The cleaned SVG as part of a page: no header, ids of its own, colours by name of the page's style, a role
/// and a label for those who do not see it.
std::string inline_svg(std::string_view svg, const std::string& name, const std::string& label);

/// The colours of all figures. Light ones are drawn; a page exchanges them in the dark.
namespace palette {
constexpr const char* kPaper = "#ffffff";
constexpr const char* kInk = "#1f2933";
constexpr const char* kMuted = "#5b6673";
constexpr const char* kLine = "#d5dbe1";
constexpr const char* kSeries[] = {"#1f6fb4", "#c8540a", "#2a8c4a", "#7a4fa3",
                                   "#b5304f", "#14808a", "#85730b", "#7b8794"};
constexpr const char* kHeat[] = {"#f3f5f8", "#f7c9a8", "#e8833a", "#a83c04"};
}  // namespace palette

/// The colour of the i-th thing of a kind.
const char* series_color(std::size_t index);

/// For a tab-separated column and for a value to be pointed at: no tabs, quotes or backslashes.
std::string data_text(std::string_view text);

}  // namespace lathe::experiments
