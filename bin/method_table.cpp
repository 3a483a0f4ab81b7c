// The table of optimisations by methods: the tutorial model pruned, clustered, quantized and combinations of
// these, each run as checkpoint, fp32, fp16, dynamic, uint8 and int16x8 file; accuracy, time, size.

#include "grid_program.h"
#include "method.h"
#include "method_report.h"
#include "method_tables.h"
#include "train.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/optim/interrupt.h>

#include <algorithm>
#include <cstdio>

using namespace lathe;
using namespace lathe::experiments;

namespace {

struct Arguments {
  GridArguments grid{.seeds = {0, 1, 2}, .epochs = 5, .out = "results/method-table"};
  std::vector<std::string> optimisations = experiments::optimisations();
};

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--optimisations", arguments.optimisations, "Rows of the table, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  add_grid_options(app, arguments.grid);
}

CellConfig cell_of(const Arguments& arguments, const std::string& optimisation, std::uint64_t seed) {
  try {
    CellConfig cell = optimisation_cell(optimisation, seed, arguments.grid.dataset, arguments.grid.epochs,
                                        arguments.grid.batch);
    cell.precision = arguments.grid.precision;
    return cell;
  } catch (const Error& error) {
    throw UsageError(fmt::format("--optimisations: {}", error.what()));
  }
}

struct Plan {
  GridWork work;
  std::vector<Cell> cells;  ///< by job; null: not there yet
};

/// The rows that are wanted and, before them, what they start from.
Plan make_plan(const Arguments& arguments, const ResultFolder& folder) {
  Plan plan;
  for (std::uint64_t seed : arguments.grid.seeds) {
    std::vector<std::string> wanted;
    for (const std::string& name : arguments.optimisations) {
      cell_of(arguments, name, seed);
      for (std::string each = name; !each.empty(); each = optimised_from(each)) wanted.push_back(each);
    }
    for (const std::string& name : optimisations()) {
      if (std::ranges::find(wanted, name) == wanted.end()) continue;
      const CellConfig config = cell_of(arguments, name, seed);
      Cell cell = find_cell(config, folder);
      Job job{.id = config.id(), .finished = !cell.is_null()};
      job.measured = std::ranges::find(arguments.optimisations, name) != arguments.optimisations.end();
      if (const std::string from = optimised_from(name); !from.empty())
        job.needs.push_back(cell_of(arguments, from, seed).id());
      plan.work.jobs.push_back(std::move(job));
      plan.work.configs.push_back(config);
      plan.cells.push_back(std::move(cell));
    }
  }
  return plan;
}

std::string summary(const Cell& cell) {
  const auto& results = cell["results"];
  return fmt::format(
      "fp32 {:.2f} %, {} bytes; uint8 {:.2f} %, {} bytes", 100 * results["fp32"]["accuracy"].get<double>(),
      results["fp32"]["bytes"].get<std::int64_t>(), 100 * results["uint8"]["accuracy"].get<double>(),
      results["uint8"]["bytes"].get<std::int64_t>());
}

int run(const Arguments& arguments, const std::string& command) {
  const ResultFolder folder{arguments.grid.out};
  Plan plan = make_plan(arguments, folder);
  const datasets::Named data =
      datasets::open(arguments.grid.dataset, datasets::data_root(arguments.grid.data));
  if (arguments.grid.train_only) {
    const optim::InterruptGuard interrupt;
    set_num_threads(arguments.grid.common.threads);
    const CellOptions options{.quiet = true,
                              .tensorboard = arguments.grid.tensorboard,
                              .status = stderr,
                              .interrupt = interrupt.flag()};
    return train_optimisation(plan.work.configs.back(), data, folder, options) ? 0 : interrupt.exit_code();
  }
  plan.work.like = like_grid;
  plan.work.worker_options = [](const CellConfig& config) {
    return std::vector<std::string>{"--optimisations", config.kind};
  };
  plan.work.measure = [&](std::size_t job, const CellOptions& options) {
    return summary(plan.cells[job] = run_optimisation(plan.work.configs[job], data, folder, options));
  };
  plan.work.report = [&] {
    std::vector<Cell> cells;
    for (const Cell& cell : plan.cells)
      if (!cell.is_null()) cells.push_back(cell);
    if (cells.empty()) return;
    if (data.generated) fmt::print("Generated data ({}), not MNIST:\n", arguments.grid.dataset);
    std::fputs("accuracy in % / ms for the test set one by one / KB\n", stdout);
    std::fputs(to_text(method_table(method_results(cells))).c_str(), stdout);
    for (const std::string& line : write_method_report(cells, folder, command))
      fmt::print(stderr, "lathe-method-table: {}\n", line);
  };
  return run_grid_program(plan.work, arguments.grid, data, command);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Optimises the tutorial model in every way, runs each result by every method, and tabulates accuracy, "
      "time and size.",
      "lathe-method-table");
  Arguments arguments;
  add_options(app, arguments);
  return run_program(app, argc, argv,
                     [&] { return run(arguments, command_line("lathe-method-table", argc, argv)); });
}
