#include "figure_bars.h"

#include "figure_planes.h"
#include "words.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace lathe::experiments {
namespace {

using palette::kInk;
using palette::kMuted;

/// The colour of a number format, the same in all figures.
const char* variant_color(const std::string& variant) {
  static const std::map<std::string, std::size_t> kColors = {
      {"float", 7}, {"fp16", 3}, {"dynamic", 6}, {"int8", 0}, {"int16x8", 5}};
  const auto found = kColors.find(variant);
  return series_color(found == kColors.end() ? 1 : found->second);
}

double number(const Cell& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_number() ? object[key].get<double>()
                                                                               : 0;
}
std::string text(const Cell& object, const char* key) {
  return object.is_object() && object.contains(key) && object[key].is_string()
             ? object[key].get<std::string>()
             : "";
}

/// Null when it is not there.
const Cell* detail(const Row& row, const std::string& variant, const char* what) {
  const auto details = row.cell.find("details");
  if (details == row.cell.end() || !details->is_object() || !details->contains(variant)) return nullptr;
  const Cell& of = (*details)[variant];
  return of.is_object() && of.contains(what) && of[what].is_array() && !of[what].empty() ? &of[what]
                                                                                         : nullptr;
}

/// A share of the width for texts of so many characters.
double left_margin(std::size_t characters, int width) {
  return std::clamp((6.9 * static_cast<double>(characters) + 16) / width, 0.06, 0.45);
}

/// Labels at the places of an axis that counts bars from the top.
std::string bar_tics(const std::vector<std::pair<double, std::string>>& places) {
  std::string list;
  for (const auto& [at, name] : places) {
    std::string text;  // a label of an axis is a format
    for (char c : name) text += c == '%' ? std::string("%%") : std::string(1, c);
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", quote_gnuplot(text), at);
  }
  return "(" + list + ")";
}

/// A text shortened in its middle.
std::string shortened(const std::string& name, std::size_t most) {
  if (display_width(name) <= most || name.size() != display_width(name)) return name;
  return name.substr(0, most / 2) + "…" + name.substr(name.size() - most / 2 + 1);
}

}  // namespace

Figure latency_figure(const std::string& base, const std::vector<Group>& groups,
                      const std::vector<std::string>& variants) {
  struct Bar {
    double at = 0, median = 0, p90 = 0;
    std::string hover;
  };
  std::map<std::string, std::vector<Bar>> bars;
  std::vector<std::pair<double, std::string>> places;
  std::vector<double> medians;
  double row = 0;
  std::size_t longest = 0;
  for (const Group& group : groups) {
    if (group.base != base) continue;
    const double first = row;
    for (const std::string& variant : variants) {
      const auto median = group.number(variant + "_median_ms"), p90 = group.number(variant + "_p90_ms");
      if (!median) continue;
      const double us = 1000 * *median, high = p90 ? 1000 * std::max(*p90, *median) : us;
      bars[variant].push_back(
          {row, us, high,
           fmt::format("{} {}: median {:.2f} µs, p90 {:.2f} µs", group.name(), variant, us, high)});
      medians.push_back(us);
      row += 1;
    }
    if (row == first) continue;
    places.emplace_back((first + row - 1) / 2, shortened(group.kind, 30));
    longest = std::max(longest, display_width(places.back().second));
    row += 0.8;
  }
  Figure figure{.name = "latency-" + slug(base),
                .caption = fmt::format("Latency of one image on one thread, {}: bars to the median, whiskers "
                                       "to the 90th percentile; over several "
                                       "seeds the median of each.",
                                       base)};
  if (medians.empty()) return figure;
  figure.height = static_cast<int>(std::min(2400.0, 86 + 13 * row));
  // One very slow kind must not make the others invisible: its bar is cut and its number stays.
  const double usual = statistic(medians).median, slowest = *std::ranges::max_element(medians);
  double whisker = 0;
  for (const auto& [variant, all] : bars)
    for (const Bar& bar : all) whisker = std::max(whisker, bar.p90);
  const double cap =
      slowest > 12 * usual ? 8 * usual : std::max(slowest * 1.02, std::min(whisker, slowest * 1.25));
  if (slowest > cap) figure.caption += " Bars at the right end are cut; their numbers are not.";

  std::string& s = figure.script;
  s += fmt::format(
      "set lmargin at screen {:.4f}\nset rmargin at screen 0.975\nset tmargin at screen {:.4f}\nset bmargin "
      "at screen {:.4f}\n",
      left_margin(longest, figure.width), 1 - 34.0 / figure.height, 46.0 / figure.height);
  s += fmt::format(
      "set xrange [0:{:.6g}]\nset yrange [{}:-0.8]\nset border 1\nset ytics scale 0 {}\nset xlabel 'µs' "
      "offset 0,0.3\nunset grid\nset grid x back lt 1 lw 0.7 lc rgb '{}'\n",
      cap * (slowest > cap ? 1.25 : 1.13), row - 0.5, bar_tics(places), palette::kLine);
  s += fmt::format("set key at screen 0.975,{:.4f} right top horizontal Left reverse samplen 1\n",
                   1 - 6.0 / figure.height);
  std::string plots;
  std::size_t index = 0;
  figure.data = "# bar\tmedian us\tp90 us\tshown median\tshown p90\tvalue\n";
  for (const std::string& variant : variants) {
    if (!bars.contains(variant)) continue;
    for (const Bar& bar : bars[variant])
      figure.data += fmt::format("{}\t{:.6g}\t{:.6g}\t{:.6g}\t{:.6g}\t{:.2f}{}\t{}\n", bar.at, bar.median,
                                 bar.p90, std::min(bar.median, cap), std::min(bar.p90, cap), bar.median,
                                 bar.median > cap ? " (cut)" : "", data_text(bar.hover));
    figure.data += "\n\n";
    const char* color = variant_color(variant);
    plots += fmt::format(
        "{0}data index {1} using 4:1:(0):4:($1-0.42):($1+0.42) with boxxyerror fs solid 1 noborder lc rgb "
        "'{2}' title {3}, \\\n"
        "  data index {1} using 4:1:($5-$4):(0) with vectors nohead lw 1.4 lc rgb '{4}' notitle, \\\n"
        "  data index {1} using 5:1:6 with labels left offset 0.6,0 font small tc rgb '{4}' notitle, \\\n"
        "  data index {1} using ($4/2):1:7 with labels hypertext point pt 5 ps 0.8 lc rgb '{2}' notitle",
        plots.empty() ? "plot " : ", \\\n  ", index++, color, quote_gnuplot(variant), kInk);
  }
  s += plots + "\n";
  return figure;
}

Figure layers_figure(const Row& row) {
  Figure figure{.name = "layers-" + slug(row.id),
                .caption = fmt::format("Where the time and the bytes of {} go: each step of the plan, fp32 "
                                       "and int8. A step without time was "
                                       "fused into the one before; “(file)” is the header and the graph.",
                                       row.id)};
  const std::vector<std::string> variants = {"float", "int8"};
  std::vector<std::string> names;
  struct Use {
    double us = 0, bytes = 0;
  };
  std::map<std::pair<std::string, std::string>, Use> uses;  // of a name and a variant
  for (const std::string& variant : variants)
    if (const Cell* layers = detail(row, variant, "layers")) {
      std::size_t at = 0;  // new names go behind the last one that both have
      for (const Cell& layer : *layers) {
        std::string name = text(layer, "name");
        if (name.empty()) name = text(layer, "op");
        const auto known = std::ranges::find(names, name);
        if (known == names.end())
          names.insert(names.begin() + static_cast<std::ptrdiff_t>(at++), name);
        else
          at = static_cast<std::size_t>(known - names.begin()) + 1;
        uses[{name, variant}].us += number(layer, "us");
        uses[{name, variant}].bytes += number(layer, "bytes");
      }
    }
  if (names.empty()) return figure;
  std::vector<std::pair<double, std::string>> places;
  std::size_t longest = 0;
  figure.data = "# bar\tus\tbytes\tname\n";
  for (std::size_t v = 0; v < variants.size(); ++v) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      const Use use = uses[{names[i], variants[v]}];
      if (v == 0)
        places.emplace_back(static_cast<double>(i), shortened(names[i], 26)),
            longest = std::max(longest, display_width(places.back().second));
      figure.data += fmt::format(
          "{}\t{:.6g}\t{:.0f}\t{}\t{}\n", static_cast<double>(i) + (v == 0 ? -0.19 : 0.19), use.us, use.bytes,
          data_text(fmt::format("{}, {}: {:.2f} µs", names[i], variants[v], use.us)),
          data_text(fmt::format("{}, {}: {} bytes", names[i], variants[v], with_commas(use.bytes))));
    }
    figure.data += "\n\n";
  }
  figure.height = static_cast<int>(std::min(2400.0, 96 + 30.0 * static_cast<double>(names.size())));
  const double left = left_margin(longest, figure.width), middle = left + (1 - left) / 2;
  std::string& s = figure.script;
  s += "set multiplot\n";
  s += fmt::format(
      "set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}\nset yrange [{}:-0.6]\nset border 1\nunset "
      "grid\nset grid x back lt 1 lw 0.7 lc rgb '{}'\n",
      1 - 36.0 / figure.height, 50.0 / figure.height, static_cast<double>(names.size()) - 0.4,
      palette::kLine);
  s += fmt::format("set key at screen 0.98,{:.4f} right top horizontal Left reverse samplen 1\n",
                   1 - 6.0 / figure.height);
  for (int panel = 0; panel < 2; ++panel) {
    double most = 0;
    for (const auto& [name, use] : uses) most = std::max(most, panel == 0 ? use.us : use.bytes);
    s += fmt::format(
        "set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\nset xrange [0:{:.6g}]\nset xlabel '{}' "
        "offset 0,0.3\n",
        panel == 0 ? left : middle + 0.02, panel == 0 ? middle - 0.015 : 0.975, std::max(most, 1e-9) * 1.22,
        panel == 0 ? "µs" : "bytes");
    s += panel == 0 ? "set ytics scale 0 " + bar_tics(places) + "\n" : std::string("unset ytics\n");
    s += "set xtics " + tick_list(ticks(0, std::max(most, 1e-9) * 1.22, 5, false)) + "\n";
    if (panel == 1) s += "unset key\n";
    std::string plots;
    for (std::size_t v = 0; v < variants.size(); ++v)
      plots += fmt::format(
          "{0}data index {1} using {2}:1:(0):{2}:($1-0.18):($1+0.18) with boxxyerror fs solid 1 noborder lc "
          "rgb '{3}' title '{4}', \\\n"
          "  data index {1} using {2}:1:({5}) with labels left offset 0.5,0 font small tc rgb '{6}' notitle, "
          "\\\n"
          "  data index {1} using (${2} > 0 ? ${2}/2 : NaN):1:{7} with labels hypertext point pt 5 ps 0.6 lc "
          "rgb '{3}' "
          "notitle",
          v == 0 ? "plot " : ", \\\n  ", v, panel == 0 ? 2 : 3, variant_color(variants[v]), variants[v],
          panel == 0 ? "$2 > 0 ? sprintf('%.2f', $2) : ''" : "$3 > 0 ? sprintf('%.0f', $3) : ''", kInk,
          panel == 0 ? 4 : 5);
    s += plots + "\n";
  }
  s += "unset multiplot\n";
  return figure;
}

Figure confusion_figure(const Row& row, const std::string& variant) {
  Figure figure{.name = "confusion-" + slug(row.id),
                .caption = fmt::format("Confusion matrix of {} ({}), the most accurate of all: rows are the "
                                       "true classes, columns the predicted "
                                       "ones. Colour is for errors only.",
                                       row.id, variant),
                .width = 560,
                .height = 560};
  const Cell* matrix = detail(row, variant, "confusion");
  if (matrix == nullptr) return figure;
  const std::size_t n = matrix->size();
  std::vector<std::vector<double>> counts(n, std::vector<double>(n));
  double most = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      if ((*matrix)[i].is_array() && j < (*matrix)[i].size() && (*matrix)[i][j].is_number()) {
        counts[i][j] = (*matrix)[i][j].get<double>();
        if (i != j) most = std::max(most, counts[i][j]);
      }
  // Blocks of data: the diagonal, then four steps of errors.
  std::string blocks[5];
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      const double share = most > 0 ? counts[i][j] / most : 0;
      const int step = i == j ? 0 : counts[i][j] <= 0 ? 1 : share <= 1.0 / 3 ? 2 : share <= 2.0 / 3 ? 3 : 4;
      blocks[step] +=
          fmt::format("{}\t{}\t{}\t{}\n", j, i, counts[i][j] > 0 ? fmt::format("{:.0f}", counts[i][j]) : "",
                      i == j ? fmt::format("class {}: {:.0f} right", i, counts[i][j])
                             : fmt::format("class {} taken for {}: {:.0f}", i, j, counts[i][j]));
    }
  figure.data = "# predicted\ttrue\tcount\tvalue\n";
  for (const std::string& block : blocks) figure.data += (block.empty() ? "NaN\tNaN\t\t\n" : block) + "\n\n";
  const bool numbers = n <= 20;
  std::string& s = figure.script;
  s += fmt::format(
      "set lmargin at screen 0.11\nset rmargin at screen 0.97\nset tmargin at screen 0.97\nset bmargin at "
      "screen 0.11\nunset grid\nunset key\nset border 0\n"
      "set xrange [-0.5:{0}]\nset yrange [{0}:-0.5]\nset tics scale 0\nset xtics {1}\nset ytics {1}\nset "
      "xlabel 'predicted' offset 0,0.3\nset ylabel 'true' offset 0.6,0\n",
      static_cast<double>(n) - 0.5, numbers ? 1 : 10);
  const char* colors[] = {palette::kLine, palette::kHeat[0], palette::kHeat[1], palette::kHeat[2],
                          palette::kHeat[3]};
  std::string plots;
  for (int step = 0; step < 5; ++step) {
    plots += fmt::format(
        "{}data index {} using 1:2:($1-0.48):($1+0.48):($2-0.48):($2+0.48) with boxxyerror fs solid 1 "
        "noborder lc rgb '{}' notitle",
        plots.empty() ? "plot " : ", \\\n  ", step, colors[step]);
    if (n <= 30)
      plots += fmt::format(
          ", \\\n  data index {} using 1:2:4 with labels hypertext point pt 5 ps 0.6 lc rgb '{}' notitle",
          step, colors[step]);
    if (numbers)
      plots += fmt::format(", \\\n  data index {} using 1:2:3 with labels center font {} tc rgb '{}' notitle",
                           step, n > 12 ? "tiny" : "small", step == 4 ? palette::kPaper : kInk);
  }
  s += plots + "\n";
  return figure;
}

}  // namespace lathe::experiments
