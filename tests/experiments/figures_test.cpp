#include "figures.h"

#include "figure_planes.h"
#include "gnuplot.h"
#include "labels.h"
#include "report.h"

#include "support/temporary_folder.h"

#include <lathe/base/io.h>

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

using namespace lathe;
using namespace lathe::experiments;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// A cell with everything a figure can show.
Cell full_cell(const std::string& base, const std::string& kind, int seed) {
  const std::string id = base + "_" + kind + "_s" + std::to_string(seed);
  Cell results = {{"exp_id", id}, {"params", 1000}};
  for (const std::string variant : {"float", "int8"}) {
    results[variant + "_acc"] = 0.9 + 0.01 * seed;
    results[variant + "_bytes"] = variant == "int8" ? 100 : 400;
    results[variant + "_median_ms"] = 0.01;
    results[variant + "_p90_ms"] = 0.02;
  }
  const Cell layers = {{{"name", kind}, {"op", "conv2d"}, {"kernel", "k"}, {"us", 1.5}, {"bytes", 80}},
                       {{"name", "(file)"}, {"op", ""}, {"kernel", ""}, {"us", 0}, {"bytes", 20}}};
  const Cell detail = {{"layers", layers}, {"confusion", {{9, 1}, {0, 10}}}};
  return {{"config", {{"base", base}, {"kind", kind}, {"seed", seed}, {"dataset", "mnist"}}},
          {"results", results},
          {"details", {{"float", detail}, {"int8", detail}}}};
}

Results a_run(const std::filesystem::path& root, const std::vector<Cell>& cells) {
  Results run{.name = root.string(), .folder = {root}};
  for (const Cell& cell : cells) run.rows.push_back(make_row(cell));
  return run;
}

}  // namespace

TEST_CASE("labels of crowded points overlap neither one another nor the points nor the border") {
  std::vector<LabelledPoint> points;
  for (int i = 0; i < 30; ++i)
    points.push_back({300.0 + 15 * (i % 3), 100.0 + 9 * i, "a-label-of-" + std::to_string(i)});
  const Box area{0, 0, 700, 450};
  const auto labels = place_labels(points, area, {}, 11);
  REQUIRE(labels.size() == points.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    CAPTURE(i);
    CHECK(labels[i].free);
    CHECK(labels[i].box.left >= area.left);
    CHECK(labels[i].box.right <= area.right);
    CHECK(labels[i].box.top >= area.top);
    CHECK(labels[i].box.bottom <= area.bottom);
    for (std::size_t j = 0; j < labels.size(); ++j) {
      if (j != i) CHECK_FALSE(labels[i].box.overlaps(labels[j].box));
      const Box mark{points[j].x - 3, points[j].y - 3, points[j].x + 3, points[j].y + 3};
      CHECK_FALSE(labels[i].box.overlaps(mark));
    }
  }
}

TEST_CASE("a label for which there is no room says so") {
  CHECK_FALSE(place_labels({{5, 5, "much too long for this"}}, {0, 0, 10, 10}, {}, 11)[0].free);
}

TEST_CASE("ticks are round, within the range and not too many") {
  CHECK(ticks(0, 10, 6, false) == std::vector<double>{0, 2, 4, 6, 8, 10});
  CHECK(ticks(1, 1000, 4, true) == std::vector<double>{1, 10, 100, 1000});
  CHECK(ticks(6, 31, 9, true).size() <= 9);
  CHECK_FALSE(ticks(0.49, 0.51, 5, true).empty());
}

TEST_CASE("an SVG of gnuplot loses its scripts and keeps its values") {
  const std::string svg =
      "<?xml version=\"1.0\"?>\n<svg onload=\"evil()\" width=\"7\" height=\"4\" viewBox=\"0 0 7 4\">"
      "<title>Gnuplot</title><script type=\"text/javascript\" xlink:href=\"/usr/x.js\"/>"
      "<rect x=\"0\" y=\"0\" width=\"7\" height=\"4\" fill=\"#ffffff\" stroke=\"black\" stroke-width=\"1\"/>"
      "<g id=\"gnuplot_plot_1\" ><title>gnuplot_plot_1</title></g>"
      "<g onmousemove=\"gnuplot_svg.showHypertext(evt,'a &lt;b>: 3')\" onmouseout=\"hide()\"><title> </title>"
      "<use xlink:href='#gpPt6' color='rgb( 31, 111, 180)'/></g>"
      "<text fill=\"rgb(31,41,51)\">it is #1f6fb4</text><image id=\"x\" href=\"y\"/></svg>";
  const std::string clean = clean_svg(svg);
  CHECK(has(clean, "<g data-value=\"a &lt;b>: 3\"><title>a &lt;b>: 3</title>"));
  for (const char* gone : {"script", "onload", "onmouse", "gnuplot_plot_1", "Gnuplot", "<image"}) {
    CAPTURE(gone);
    CHECK_FALSE(has(clean, gone));
  }
  const std::string inlined = inline_svg(clean, "a name", "what \"it\" shows");
  CHECK(inlined.starts_with("<svg role=\"img\" aria-label=\"what &quot;it&quot; shows\""));
  CHECK(has(inlined, "color='var(--c0)'"));
  CHECK(has(inlined, "fill=\"var(--ink)\""));
  CHECK(has(inlined, "#a_name-gpPt6"));
  CHECK(has(inlined, "it is #1f6fb4"));
  CHECK_FALSE(has(inlined, "width=\"7\" height=\"4\" viewBox"));
}

TEST_CASE("an SVG that is cut off or strange does no harm") {
  for (const char* svg :
       {"", "<", "<svg", "<svg><title>", "<svg><script>", "<svg><g onmousemove='evt,'>", "<!--", "<svg><!--",
        "<svg><script", "<g onmousemove='x", "<text id=\"hypertext\">"}) {
    CAPTURE(svg);
    CHECK(inline_svg(clean_svg(svg), "a", "b").size() < 200);
  }
}

TEST_CASE("figures are drawn of one cell and of names that nobody expects") {
  const TemporaryFolder folder;
  Cell odd = full_cell("ba'se", "k\"{x}'`\\<&>%d\n$", 0);
  // Vectors: compilers differ in whether Cell{cell} is a copy or an array of one.
  for (const std::vector<Cell>& cells :
       {std::vector<Cell>(1, full_cell("conv", "baseline", 0)),
        std::vector<Cell>{odd, full_cell("b", "c", 0), full_cell("b", "c", 1)}}) {
    std::vector<std::string> missing;
    const auto figures = draw_figures(a_run(folder.path(), cells), missing);
    REQUIRE(figures.size() >= 6);
    if (!has_gnuplot()) {
      MESSAGE("skipped: gnuplot is not installed");
      return;
    }
    for (const std::string& line : missing) MESSAGE(line);
    CHECK(missing.empty());
    for (const FigureBlock& figure : figures) {
      CAPTURE(figure.name);
      CHECK(has(figure.svg, "</svg>"));
      CHECK_FALSE(has(figure.svg, "<script"));
      CHECK(std::filesystem::file_size(folder / "figures" / (figure.name + ".png")) > 1000);
      CHECK(std::filesystem::exists(folder / "figures" / (figure.name + ".gp")));
      CHECK(std::filesystem::exists(folder / "figures" / (figure.name + ".dat")));
    }
  }
}

TEST_CASE("figures are drawn of cells with damaged details, all errors or none") {
  const TemporaryFolder folder;
  Cell cell = full_cell("conv", "baseline", 0);
  cell["results"]["int8_acc"] = 1.0;
  cell["results"]["float_acc"] = 0.0;
  cell["details"]["int8"]["layers"] = {3, "x", {{"name", 5}}};
  cell["details"]["int8"]["confusion"] = {{1, "x"}, 7, nullptr};
  cell["details"]["float"] = "nothing";
  write_file(folder / "history" / "conv_baseline_s0.csv",
             "epoch,train_loss,train_accuracy\n1,nan,x\n2,0.5,0.9\n,,,\n");
  write_file(folder / "history" / "conv_baseline_s0.layers.json",
             "{\"steps\": [0, 1], \"loss\": [null, 0.7, \"x\"], "
             "\"weights\": [{\"name\": 3, \"sparsity\": [0.5, \"x\"]}, 4, {\"before\": "
             "{\"width\": -1}}]}");
  std::vector<std::string> missing;
  draw_figures(a_run(folder.path(), {cell}), missing);
  if (has_gnuplot())
    for (const std::string& line : missing) FAIL_CHECK(line);
}
