// The experiment grid on MNIST: trains every base with every kind and seed, deploys each as every variant,
// measures, reports.

#include "cell.h"
#include "kind.h"
#include "program.h"
#include "report.h"

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
  CommonOptions common;
  std::string data;
  std::string dataset = "mnist";
  std::vector<std::string> bases = {"conv", "dscnn"};
  std::vector<std::string> kinds;
  std::vector<std::uint64_t> seeds = {0};
  std::int64_t epochs = 10;
  std::int64_t batch = 128;
  std::string out = "results";
  bool quick = false;
};

void add_options(CLI::App& app, Arguments& arguments) {
  add_common_options(app, arguments.common);
  add_data_option(app, arguments.data);
  app.add_option("--dataset", arguments.dataset, "Data set: a folder of the data folder, or synthetic-digits")
      ->capture_default_str();
  app.add_option("--bases", arguments.bases, "Models, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--kinds", arguments.kinds,
                 "What is done to each model, separated by commas: baseline, or passes joined by + out of "
                 "kd, prune-S "
                 "(prune-0.8, prune-2:4), cluster-K, qat; pqat, cqat and pcqat stand for the usual "
                 "combinations. Default: "
                 "baseline, qat, prune-0.8, cluster-8, and for dscnn kd")
      ->delimiter(',');
  app.add_option("--seeds", arguments.seeds, "Seeds, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "Epochs of training")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--batch", arguments.batch, "Images per training step")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  app.add_option("--out", arguments.out, "Folder for the results; finished experiments in it are kept")
      ->capture_default_str();
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
  for (std::uint64_t seed : arguments.seeds)
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
                        .dataset = arguments.dataset,
                        .epochs = arguments.epochs,
                        .batch = arguments.batch,
                        .train_limit = arguments.quick ? 12'000 : 0});
    }
  return grid;
}

int run(Arguments arguments, const std::string& command) {
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  if (arguments.quick) {
    arguments.epochs = std::min<std::int64_t>(arguments.epochs, 2);
    arguments.seeds.resize(1);
  }
  const std::vector<CellConfig> grid = make_grid(arguments);
  const ResultFolder folder{arguments.out};
  std::vector<Cell>
      finished;  // looked at first: a cell with other settings is an error before any work is done
  for (const CellConfig& config : grid) finished.push_back(find_cell(config, folder));
  const datasets::Named data = datasets::open(arguments.dataset, datasets::data_root(arguments.data));
  const bool quiet = arguments.common.quiet;
  if (data.generated && !quiet)
    fmt::print(stderr, "{} is generated: the results say nothing about real data\n", arguments.dataset);

  const optim::InterruptGuard interrupt;
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const std::string title = fmt::format("[{}/{}] {}", i + 1, grid.size(), grid[i].id());
    Cell cell = finished[i];
    if (cell.is_null()) {
      cell = run_cell(grid[i], data, folder,
                      {.quiet = quiet, .title = title, .command = command, .interrupt = interrupt.flag()});
    } else if (!quiet) {
      fmt::print(stderr, "{} is there already\n", title);
    }
    if (cell.is_null()) {
      fmt::print(stderr, "interrupted; the same command goes on from here\n");
      return interrupt.exit_code();
    }
    cells.push_back(std::move(cell));
    write_report(folder, {.command = command, .figures = false});
  }
  if (data.generated) std::puts("Generated data (synthetic-digits), not MNIST:");
  std::vector<Row> rows;
  for (const Cell& cell : cells) rows.push_back(make_row(cell));
  std::fputs(to_text(overview_table(rows)).c_str(), stdout);
  if (arguments.seeds.size() > 1) fmt::print("\n{}", to_text(seed_table(group_rows(rows))));
  for (const std::string& line : write_report(folder, {.command = command}))
    fmt::print(stderr, "lathe-mnist-report: {}\n", line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trains the MNIST models, deploys them as fp32 and int8 files, and reports accuracy, size and latency.",
      "lathe-mnist-report");
  Arguments arguments;
  add_options(app, arguments);
  std::string command = "lathe-mnist-report";
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  return run_program(app, argc, argv, [&] { return run(arguments, command); });
}
