#include "report.h"

#include "method_tables.h"
#include "published.h"
#include "words.h"

#include "support/errors.h"
#include "support/temporary_folder.h"

#include <lathe/base/io.h>

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>

using namespace lathe;
using namespace lathe::experiments;

namespace {

Cell make_cell(const std::string& base, const std::string& kind, int seed, double accuracy, double bytes,
               double ms) {
  const std::string id = base + "_" + kind + "_s" + std::to_string(seed);
  return {{"config",
           {{"base", base},
            {"kind", kind},
            {"seed", seed},
            {"dataset", "mnist"},
            {"epochs", 10},
            {"batch", 128},
            {"train_limit", 0}}},
          {"generated_data", false},
          {"environment", {{"processor", "a processor"}, {"time", "2026-01-01T00:00:00Z"}}},
          {"results",
           {{"exp_id", id},
            {"params", 100},
            {"float_acc", accuracy},
            {"float_bytes", 4 * bytes},
            {"float_median_ms", 2 * ms},
            {"int8_acc", accuracy - 0.001},
            {"int8_bytes", bytes},
            {"int8_median_ms", ms},
            {"int8_p90_ms", 1.1 * ms}}}};
}

void put(const std::filesystem::path& root, const std::string& name, const std::string& text) {
  write_file(root / "cells" / (name + ".json"), text);
}
void put(const std::filesystem::path& root, const Cell& cell) {
  put(root, slug(cell["results"]["exp_id"].get<std::string>()), cell.dump());
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<Candidate> some_files() {
  return {{.id = "large", .accuracy = 0.99, .bytes = 100, .median_ms = 3},
          {.id = "small", .accuracy = 0.95, .bytes = 10, .median_ms = 2},
          {.id = "fast", .accuracy = 0.97, .bytes = 50, .median_ms = 1}};
}

}  // namespace

TEST_CASE("the front keeps what nothing beats, by rising cost") {
  CHECK(pareto_front({{3, 0.9}, {1, 0.5}, {2, 0.9}, {4, 0.95}, {2, 0.4}}) ==
        std::vector<std::size_t>{1, 2, 3});
  CHECK(pareto_front({{1, 0.5}, {1, 0.5}}) == std::vector<std::size_t>{0});
  CHECK(pareto_front({}).empty());
}

TEST_CASE("a statistic is the mean with the deviation of a sample") {
  const Statistic three = statistic({3, 1, 2});
  CHECK(three.mean == doctest::Approx(2));
  CHECK(three.deviation == doctest::Approx(1));
  CHECK(three.median == 2);
  CHECK(statistic({5}).deviation == 0);
  CHECK(statistic({1, 4}).median == 2.5);
}

TEST_CASE("a group takes the mean of accuracies and the median of times") {
  std::vector<Row> rows;
  for (int seed = 0; seed < 3; ++seed)
    rows.push_back(
        make_row(make_cell("conv", "qat", seed, 0.9 + 0.01 * seed, 100, seed == 2 ? 90 : 1 + seed)));
  rows.push_back(make_row(make_cell("conv", "baseline", 0, 0.9, 100, 1)));
  const auto groups = group_rows(rows);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].kind == "baseline");
  CHECK(*groups[1].number("float_acc") == doctest::Approx(0.91));
  CHECK(*groups[1].number("int8_median_ms") == 2);
  CHECK_FALSE(groups[1].number("fp16_acc"));
}

TEST_CASE("a result that is missing or no number is not there") {
  Cell cell = make_cell("conv", "baseline", 0, 0.9, 100, 1);
  cell["results"]["int8_acc"] = nullptr;
  cell["results"]["int8_bytes"] = "many";
  const Row row = make_row(cell);
  CHECK_FALSE(row.number("int8_acc"));
  CHECK_FALSE(row.number("int8_bytes"));
  CHECK_FALSE(row.number("no such column"));
}

TEST_CASE("the guide takes the most accurate within limits, or the smallest that is accurate enough") {
  const auto files = some_files();
  CHECK(choose(files, {})->id == "large");
  CHECK(choose(files, {.max_bytes = 60})->id == "fast");
  CHECK(choose(files, {.max_ms = 2, .min_accuracy = 0.9})->id == "small");
  CHECK(recommend(files, 0.03)->id == "fast");
  CHECK(choose(files, {.max_bytes = 5}) == nullptr);
  CHECK(recommend({}) == nullptr);
}

TEST_CASE("the guide says how near the files come to limits that none keeps") {
  const auto files = some_files();
  CHECK(why_none(files, {.max_bytes = 5}) == "the smallest file has 10 bytes (small)");
  CHECK(has(why_none(files, {.max_ms = 0.5, .min_accuracy = 0.999}), "the fastest takes 1 ms (fast)"));
  CHECK(has(why_none(files, {.min_accuracy = 0.999}), "reaches 99.00 % (large)"));
  CHECK(has(why_none(files, {.max_bytes = 20, .min_accuracy = 0.99}), "not all together"));
  CHECK(has(why_none({}, {}), "no file"));
}

TEST_CASE("an argument is quoted for a shell where it must be") {
  CHECK(shell_quote("results/a_b+c.lathe") == "results/a_b+c.lathe");
  CHECK(shell_quote("it's $HOME") == "'it'\\''s $HOME'");
  CHECK(shell_quote("") == "''");
}

TEST_CASE("texts from outside are harmless in HTML, Markdown and gnuplot") {
  CHECK(escape_html("<a href='x'>&\"\n\xff") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot; \xef\xbf\xbd");
  CHECK(escape_markdown("a|b*c`<x>") == "a\\|b\\*c\\`&lt;x>");
  CHECK(markdown_code("a`b") == "``a`b``");
  CHECK(quote_gnuplot("it's\n`date`") == "'it''s `date`'");
  CHECK(slug("../a b/<c>") == "_._a_b__c_");
  CHECK(display_width("± µs") == 4);
}

TEST_CASE("the published rows are there") {
  REQUIRE(published_grid().size() == 9);
  CHECK(find_published("conv", "qat")->int8_bytes == 41048);
  CHECK(find_published("dscnn", "prune-0.8")->int8_accuracy == 0.7117);
  CHECK(find_published("conv", "kd") == nullptr);
  CHECK(find_published_method("none", "uint8")->accuracy == 0.9754);
  CHECK(find_published_method("prune_cluster_pcqat", "dynamic")->kilobytes == 24.16);
  CHECK(find_published_method("quantize", "int16x8") == nullptr);
}

TEST_CASE("our rows stand beside the published ones, and what is behind is named") {
  std::vector<Row> rows = {make_row(make_cell("conv", "baseline", 0, 0.995, 30'000, 0.01)),
                           make_row(make_cell("dscnn", "kd", 0, 0.95, 9'000, 0.01)),
                           make_row(make_cell("mine", "kd", 0, 0.95, 9'000, 0.01))};
  const auto groups = group_rows(rows);
  std::vector<std::string> behind;
  const Table table = published_table(groups, behind);
  REQUIRE(table.rows.size() == 2);
  CHECK(table.rows[0].back() == "accuracy and bytes better");
  CHECK(table.rows[0][3] == "+0.41");
  REQUIRE(behind.size() == 1);
  CHECK(behind[0] == "dscnn kd: fp32 accuracy, int8 accuracy, int8 bytes, int8 latency (of another machine)");
}

TEST_CASE("a report is made from cells alone") {
  const TemporaryFolder folder;
  for (int seed = 0; seed < 3; ++seed)
    put(folder.path(), make_cell("conv", "baseline", seed, 0.99, 30'000, 0.01));
  put(folder.path(), make_cell("conv", "odd <b>|`kind", 0, 0.98, 20'000, 0.02));
  const auto missing = write_report(read_results(folder.path()), {.command = "make it", .figures = false});
  CHECK(missing.empty());
  const std::string markdown = content(folder / "report.md"), page = content(folder / "report.html");
  CHECK(has(markdown, "99.00 ± 0.00"));
  CHECK(has(markdown, "make it"));
  CHECK(has(markdown, "odd &lt;b>\\|\\`kind"));
  CHECK(has(page, "odd &lt;b&gt;|`kind"));
  CHECK_FALSE(has(page, "<b>"));
  CHECK(has(page, "odd \\u003cb>|`kind"));
  CHECK(has(content(folder / "results.csv"), "conv_baseline_s2"));
}

TEST_CASE("failed experiments and broken cells are named and the others reported") {
  const TemporaryFolder folder;
  put(folder.path(), make_cell("conv", "baseline", 0, 0.99, 30'000, 0.01));
  put(folder.path(), "a",
      "{\"config\": {\"base\": \"conv\", \"kind\": \"qat\", \"seed\": 3}, \"error\": \"loss is not "
      "finite\"}");
  put(folder.path(), "b", "{");
  put(folder.path(), "c", "{\"config\": {}}");
  const auto missing = write_report(read_results(folder.path()), {.figures = false});
  REQUIRE(missing.size() == 2);
  CHECK(has(missing[0], "b.json is not JSON"));
  CHECK(has(missing[1], "c.json: it is not a result of lathe: it has no results"));
  const std::string markdown = content(folder / "report.md");
  CHECK(has(markdown, "`conv_qat_s3`: loss is not finite"));
  CHECK(has(markdown, "b.json is not JSON"));
  CHECK(has(markdown, "1 experiment failed"));
}

TEST_CASE("failures are kept until there is a result") {
  const TemporaryFolder folder;
  put(folder.path(), make_cell("conv", "baseline", 0, 0.99, 30'000, 0.01));
  const ResultFolder results{folder.path()};
  write_failures(results, {{"conv_kd_s0", "out of <memory>"}, {"conv_baseline_s0", "was killed"}});
  write_report(read_results(folder.path()), {.figures = false});
  const std::string markdown = content(folder / "report.md");
  CHECK(has(markdown, "`conv_kd_s0`: out of &lt;memory>"));
  CHECK(has(markdown, "1 experiment failed"));
  CHECK_FALSE(has(markdown, "was killed"));
  write_failures(results, {{"conv_qat_s0", "was killed"}});  // by a run without the other two
  CHECK(read_results(folder.path()).rows.size() == 3);
  put(folder.path(), make_cell("conv", "kd", 0, 0.99, 30'000, 0.01));
  put(folder.path(), make_cell("conv", "qat", 0, 0.99, 30'000, 0.01));
  write_failures(results, {});
  CHECK_FALSE(std::filesystem::exists(folder / "failed.json"));
  write_file(folder / "failed.json", "[");
  CHECK(has(read_results(folder.path()).problems.at(0), "failed.json is not a list of failures"));
}

TEST_CASE("a folder without results is refused in one line") {
  const TemporaryFolder folder;
  CHECK_ERROR(read_results(folder / "nothing"), "there is no folder");
  CHECK_ERROR(read_results(folder.path()), "it has no folder cells/");
  std::filesystem::create_directory(folder / "cells");
  CHECK_ERROR(read_results(folder.path()), "there is no .json file");
  put(folder.path(), "x", "[]");
  CHECK_ERROR(read_results(folder.path()), "no result in");
}

TEST_CASE("cells are read in the order of their seeds") {
  const TemporaryFolder folder;
  for (int seed : {10, 2, 1}) put(folder.path(), make_cell("conv", "qat", seed, 0.9, 100, 1));
  put(folder.path(), make_cell("conv", "baseline", 3, 0.9, 100, 1));
  std::string order;
  for (const Row& row : read_results(folder.path()).rows) order += row.id + " ";
  CHECK(order == "conv_baseline_s3 conv_qat_s1 conv_qat_s2 conv_qat_s10 ");
}

TEST_CASE("runs are compared with the first; what one lacks is a dash") {
  const TemporaryFolder before, after;
  put(before.path(), make_cell("conv", "baseline", 0, 0.98, 1000, 0.02));
  put(after.path(), make_cell("conv", "baseline", 0, 0.99, 500, 0.01));
  put(after.path(), make_cell("conv", "qat", 0, 0.99, 500, 0.01));
  const auto parts = compare_runs({read_results(before.path()), read_results(after.path())});
  REQUIRE(parts.size() == 6);
  CHECK(parts[0].table.rows[0] == std::vector<std::string>{"conv baseline", "98.00", "99.00", "+1.00"});
  CHECK(parts[0].table.rows[1] == std::vector<std::string>{"conv qat", "–", "99.00", "–"});
  CHECK(parts[3].table.rows[0].back() == "0.50x");
}

TEST_CASE("the table of methods has a row for each optimisation and dashes for what was refused") {
  const std::vector<MethodResult> results = {{"none", "fp32", 0.98, 100, 2048},
                                             {"none", "uint8", 0.97, 50, 1024},
                                             {"mine", "fp32", {}, {}, {}},
                                             {"quantize", "uint8", 0.98, {}, 30'000}};
  const Table table = method_table(results);
  CHECK(table.header == std::vector<std::string>{"optimisation", "fp32", "uint8"});
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0] == std::vector<std::string>{"none", "98.00 / 100.0 / 2.00", "97.00 / 50.0 / 1.00"});
  CHECK(table.rows[1] == std::vector<std::string>{"mine", "–", "–"});
  CHECK(table.rows[2][2] == "98.00 / – / 29.30");
  std::vector<std::string> behind;
  const Table published = published_method_table(results, behind);
  REQUIRE(published.rows.size() == 3);
  CHECK(published.rows[0].back() == "better or equal");
  CHECK(behind == std::vector<std::string>{"none uint8: accuracy", "quantize uint8: bytes"});
}
