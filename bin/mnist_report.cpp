// The experiment grid on MNIST: trains every base with every kind and seed, deploys each as every variant,
// measures, reports.

#include "cell.h"
#include "grid_program.h"
#include "kind.h"
#include "recipe.h"
#include "report.h"
#include "train.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/layers/models.h>
#include <lathe/optim/interrupt.h>

#include <algorithm>
#include <cstdio>

using namespace lathe;
using namespace lathe::experiments;

namespace {

struct Arguments {
  GridArguments grid;
  std::vector<std::string> bases = {"conv", "dscnn"};
  std::vector<std::string> kinds;
  bool quick = false;
};

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--bases", arguments.bases, "Models, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option(
         "--kinds", arguments.kinds,
         "What is done to each model, separated by commas: baseline, or passes joined by + out of "
         "kd, prune-S (prune-0.8, prune-2:4), cluster-K, qat; pqat, cqat and pcqat stand for the usual "
         "combinations. Default: baseline, qat, prune-0.8, cluster-8, and for dscnn kd")
      ->delimiter(',');
  add_grid_options(app, arguments.grid);
  app.add_flag("--quick", arguments.quick,
               "A few minutes at most: 2 epochs on 12,000 images, the first seed only");
}

/// What is done to a model unless --kinds says otherwise: the published grid.
std::vector<std::string> kinds_of(const Arguments& arguments, const std::string& base) {
  std::vector<std::string> kinds = arguments.kinds;
  if (kinds.empty()) kinds = {"baseline", "qat", "prune-0.8", "cluster-8"};
  if (arguments.kinds.empty() && base == "dscnn") kinds.emplace_back("kd");
  for (std::string& kind : kinds) try {
      kind = to_string(parse_kind(kind));
    } catch (const Error& error) {
      throw UsageError(fmt::format("--kinds: {}", error.what()));
    }
  return kinds;
}

std::vector<CellConfig> make_grid(const Arguments& arguments) {
  std::vector<CellConfig> grid;
  for (std::uint64_t seed : arguments.grid.seeds)
    for (const std::string& base : arguments.bases) {
      try {
        layers::find_model(base);
      } catch (const Error& error) {
        throw UsageError(fmt::format("--bases: {}", error.what()));
      }
      for (const std::string& kind : kinds_of(arguments, base))
        grid.push_back({.base = base,
                        .kind = kind,
                        .seed = seed,
                        .dataset = arguments.grid.dataset,
                        .epochs = arguments.grid.epochs,
                        .batch = arguments.grid.batch,
                        .train_limit = arguments.quick ? 12'000 : 0,
                        .precision = arguments.grid.precision});
    }
  return grid;
}

/// The cells as jobs, with the baselines and teachers that they need before them.
std::vector<Job> make_jobs(const std::vector<CellConfig>& grid, const std::vector<Cell>& finished,
                           std::vector<CellConfig>& configs) {
  std::vector<Job> jobs;
  const auto add = [&](const CellConfig& config, bool measured, bool done) {
    const auto known = std::ranges::find(jobs, config.id(), &Job::id);
    if (known != jobs.end()) return;
    jobs.push_back({.id = config.id(), .finished = done, .measured = measured});
    configs.push_back(config);
    if (done) return;
    for (const CellConfig& needed : trained_before(config)) jobs.back().needs.push_back(needed.id());
  };
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const bool done = !finished[i].is_null();
    for (const CellConfig& needed : trained_before(grid[i])) {
      const bool in_grid = std::ranges::find(grid, needed.id(), &CellConfig::id) != grid.end();
      if (!in_grid) add(needed, false, done);  // finished ones too: their number decides on the threads
    }
    add(grid[i], true, done);
  }
  return jobs;
}

int train_only(const Arguments& arguments, const std::vector<CellConfig>& grid, const datasets::Named& data) {
  const optim::InterruptGuard interrupt;
  for (const CellConfig& config : grid) {
    const CellOptions options{.quiet = true,
                              .tensorboard = arguments.grid.tensorboard,
                              .status = stderr,
                              .interrupt = interrupt.flag()};
    const Recipe recipe = recipe_for(config.base, parse_kind(config.kind));
    if (!train_cell(config, recipe, data, {arguments.grid.out}, options)) return interrupt.exit_code();
  }
  return 0;
}

std::string summary(const Cell& cell) {
  const auto& results = cell["results"];
  return fmt::format("fp32 {:.2f} %, int8 {:.2f} %, {} bytes, {:.2f} us",
                     100 * results["float_acc"].get<double>(), 100 * results["int8_acc"].get<double>(),
                     results["int8_bytes"].get<std::int64_t>(),
                     1000 * results["int8_median_ms"].get<double>());
}

int run(Arguments arguments, const std::string& command) {
  if (arguments.quick) {
    arguments.grid.epochs = std::min<std::int64_t>(arguments.grid.epochs, 2);
    arguments.grid.seeds.resize(1);
  }
  const std::vector<CellConfig> grid = make_grid(arguments);
  const ResultFolder folder{arguments.grid.out};
  // Looked at first: a cell with other settings is an error before any work is done.
  std::vector<Cell> cells;
  for (const CellConfig& config : grid) cells.push_back(find_cell(config, folder));
  const datasets::Named data =
      datasets::open(arguments.grid.dataset, datasets::data_root(arguments.grid.data));
  if (arguments.grid.train_only) {
    set_num_threads(arguments.grid.common.threads);
    return train_only(arguments, grid, data);
  }
  GridWork work;
  work.jobs = make_jobs(grid, cells, work.configs);
  work.worker_options = [&](const CellConfig& config) {
    std::vector<std::string> result{"--bases", config.base, "--kinds", config.kind};
    if (arguments.quick) result.emplace_back("--quick");
    return result;
  };
  work.measure = [&](std::size_t job, const CellOptions& options) {
    const CellConfig& config = work.configs[job];
    const auto place = std::ranges::find(grid, config.id(), &CellConfig::id) - grid.begin();
    Cell& cell = cells[static_cast<std::size_t>(place)] = run_cell(config, data, folder, options);
    write_report(folder, {.command = command, .figures = false});
    return summary(cell);
  };
  work.report = [&] {
    std::vector<Row> rows;
    for (const Cell& cell : cells)
      if (!cell.is_null()) rows.push_back(make_row(cell));
    if (rows.empty()) return;
    if (data.generated) fmt::print("Generated data ({}), not MNIST:\n", arguments.grid.dataset);
    std::fputs(to_text(overview_table(rows)).c_str(), stdout);
    if (arguments.grid.seeds.size() > 1) fmt::print("\n{}", to_text(seed_table(group_rows(rows))));
    for (const std::string& line : write_report(folder, {.command = command}))
      fmt::print(stderr, "lathe-mnist-report: {}\n", line);
  };
  return run_grid_program(work, arguments.grid, data, command);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the MNIST models, deploys them as fp32 and int8 files, and reports accuracy, size and latency.",
      "lathe-mnist-report");
  Arguments arguments;
  add_options(app, arguments);
  return run_program(app, argc, argv,
                     [&] { return run(arguments, command_line("lathe-mnist-report", argc, argv)); });
}
