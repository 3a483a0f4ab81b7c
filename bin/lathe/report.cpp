#include "report.h"

#include "commands.h"
#include "method.h"
#include "method_report.h"
#include "words.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <algorithm>

namespace lathe::commands {
namespace {

using namespace lathe::experiments;

struct Arguments {
  std::vector<std::string> folders;
  std::string out;
  double max_bytes = 0, max_ms = 0, min_accuracy = 0;
  Limits limits;
  bool quiet = false;
};

void complain(const std::string& line) { fmt::print(stderr, "lathe: {}\n", line); }

/// Prints which file to ship. Returns whether there is one.
bool print_choice(const std::vector<Candidate>& files, const Limits& limits) {
  const bool limited = limits.max_bytes || limits.max_ms || limits.min_accuracy;
  const Candidate* file = limited ? choose(files, limits) : recommend(files);
  if (file == nullptr) {
    complain("report: no file is within the limits: " + why_none(files, limits));
    return false;
  }
  fmt::print("ship {}\n     {} %, {} bytes, {} us ({} {}, {})\ntry  {}\n", file->file.string(),
             percent(file->accuracy), with_commas(file->bytes), microseconds(file->median_ms), file->base,
             file->kind, file->variant, try_command(*file));
  return true;
}

int report_one(const Results& run, const Arguments& arguments) {
  const auto missing = write_report(run, {});
  for (const std::string& line : missing) complain(line);
  if (!arguments.quiet)
    fmt::print("{}\n{}\n", to_text(overview_table(run.rows)), (run.folder.root / "report.html").string());
  const bool any = arguments.limits.max_bytes || arguments.limits.max_ms || arguments.limits.min_accuracy;
  const std::vector<Candidate> files = candidates(run);
  const bool found = !files.empty() || any ? print_choice(files, arguments.limits) : true;
  return found && run.problems.empty() ? 0 : 1;
}

int report_methods(const Results& run, const Arguments& arguments) {
  if (arguments.limits.max_bytes || arguments.limits.max_ms || arguments.limits.min_accuracy)
    throw UsageError("report: limits are for the cells of a grid; this folder has a table of methods");
  std::vector<Cell> cells;
  for (const Row& row : run.rows)
    if (is_method_cell(row.cell)) cells.push_back(row.cell);
  for (const std::string& line : write_method_report(cells, run.folder, cells[0].value("command", "")))
    complain(line);
  for (const std::string& problem : run.problems) complain(problem);
  if (!arguments.quiet)
    fmt::print("{}\n{}\n", to_text(method_table(method_results(cells))),
               (run.folder.root / "report.html").string());
  return run.problems.empty() ? 0 : 1;
}

int report_several(const std::vector<Results>& runs, const Arguments& arguments) {
  bool fine = true;
  std::vector<Candidate> files;
  for (const Results& run : runs) {
    for (const std::string& problem : run.problems) complain(problem), fine = false;
    const auto own = candidates(run);
    files.insert(files.end(), own.begin(), own.end());
  }
  if (!arguments.out.empty()) {
    const Document document = comparison(runs);
    const std::filesystem::path out = arguments.out;
    write_file(out / "report.md", to_markdown(document));
    write_file(out / "report.html", to_html(document));
  }
  if (!arguments.quiet)
    for (const Comparison& part : compare_runs(runs)) fmt::print("{}\n{}\n", part.title, to_text(part.table));
  if (!arguments.out.empty() && !arguments.quiet)
    fmt::print("{}\n", (std::filesystem::path(arguments.out) / "report.html").string());
  if (arguments.limits.max_bytes || arguments.limits.max_ms || arguments.limits.min_accuracy)
    fine = print_choice(files, arguments.limits) && fine;
  return fine ? 0 : 1;
}

int make_report(const Arguments& arguments) {
  if (arguments.folders.size() == 1 && !arguments.out.empty())
    throw UsageError("report: --out is for several folders; the report of one is written into it");
  std::vector<Results> runs;
  for (const std::string& folder : arguments.folders) {
    runs.push_back(read_results(folder));
    const auto& rows = runs.back().rows;
    if (std::ranges::none_of(rows, [](const Row& row) { return is_method_cell(row.cell); })) continue;
    if (arguments.folders.size() == 1) return report_methods(runs.back(), arguments);
    throw UsageError(fmt::format("report: {} has a table of methods; only grids are compared", folder));
  }
  return runs.size() == 1 ? report_one(runs.front(), arguments) : report_several(runs, arguments);
}

}  // namespace

void add_report(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand(
      "report",
      "Makes the report of a result folder again from its cells, compares several, says which file to ship");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("folders", arguments->folders, "Result folders; several are compared with the first")
      ->required();
  command->add_option("--out", arguments->out,
                      "Of several folders: where report.md and report.html go (default: none)");
  auto* bytes =
      command->add_option("--max-bytes", arguments->max_bytes, "Ship a file of at most so many bytes")
          ->check(CLI::NonNegativeNumber);
  auto* ms =
      command
          ->add_option("--max-ms", arguments->max_ms, "Ship a file that takes at most so many milliseconds")
          ->check(CLI::NonNegativeNumber);
  auto* accuracy = command
                       ->add_option("--min-acc", arguments->min_accuracy,
                                    "Ship a file of at least this accuracy, in percent")
                       ->check(CLI::Range(0.0, 100.0));
  command->add_flag("--quiet", arguments->quiet, "Print which file to ship and errors only");
  command->callback([&run, arguments, bytes, ms, accuracy] {
    if (!bytes->empty()) arguments->limits.max_bytes = arguments->max_bytes;
    if (!ms->empty()) arguments->limits.max_ms = arguments->max_ms;
    if (!accuracy->empty()) arguments->limits.min_accuracy = arguments->min_accuracy / 100 - 1e-9;
    run = [arguments] { return make_report(*arguments); };
  });
}

}  // namespace lathe::commands
