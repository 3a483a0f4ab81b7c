#include "grid_program.h"

#include "estimate.h"
#include "guide.h"
#include "rows.h"
#include "train.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/optim/interrupt.h>

#include <algorithm>
#include <cstdio>

namespace lathe::experiments {

void add_grid_options(CLI::App& app, GridArguments& arguments) {
  add_common_options(app, arguments.common);
  add_data_option(app, arguments.data);
  app.add_option("--dataset", arguments.dataset, "Data set: a folder of the data folder, or synthetic-digits")
      ->capture_default_str();
  app.add_option("--seeds", arguments.seeds, "Seeds, separated by commas")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "Epochs of each training")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--batch", arguments.batch, "Images per training step")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  add_precision_option(app, arguments.precision);
  app.add_option("--out", arguments.out, "Folder for the results; finished experiments in it are kept")
      ->capture_default_str();
  app.add_option("--tensorboard", arguments.tensorboard,
                 "Folder for event files of the trainings, for tensorboard --logdir");
  app.add_flag("--dry-run", arguments.dry_run, "List the trainings and how long they would take");
  app.add_flag("--train-only", arguments.train_only)->group("");
}

std::vector<std::string> worker_arguments(const GridArguments& arguments, const CellConfig& config,
                                          int threads) {
  std::vector<std::string> result{"--train-only",
                                  "--dataset",
                                  config.dataset,
                                  "--seeds",
                                  std::to_string(config.seed),
                                  "--epochs",
                                  std::to_string(config.epochs),
                                  "--batch",
                                  std::to_string(config.batch),
                                  "--precision",
                                  std::string(to_string(config.precision)),
                                  "--threads",
                                  std::to_string(threads),
                                  "--out",
                                  arguments.out};
  if (!arguments.data.empty()) result.insert(result.end(), {"--data", arguments.data});
  if (!arguments.tensorboard.empty()) result.insert(result.end(), {"--tensorboard", arguments.tensorboard});
  return result;
}

std::size_t GridWork::place_of(const std::string& id) const {
  return static_cast<std::size_t>(std::ranges::find(jobs, id, &Job::id) - jobs.begin());
}

int run_grid_program(GridWork& work, const GridArguments& arguments, const datasets::Named& data,
                     const std::string& command) {
  check_supported(arguments.precision);
  const bool quiet = arguments.common.quiet;
  if (data.generated && !quiet)
    fmt::print(stderr, "{} is generated: the results say nothing about real data\n", arguments.dataset);

  const int all_threads = arguments.common.threads > 0 ? arguments.common.threads : num_threads();
  const Threads threads = share_threads(all_threads, work.jobs.size());
  set_num_threads(1);
  TrainingEstimate estimate;
  for (std::size_t i = 0; i < work.jobs.size(); ++i)
    if (!work.jobs[i].finished)
      work.jobs[i].seconds =
          estimate.seconds(work.like(work.configs[i]), training_images(work.configs[i], data));
  set_num_threads(all_threads);
  if (arguments.dry_run) {
    std::fputs(plan_text(work.jobs, threads).c_str(), stdout);
    return 0;
  }

  const GridHooks hooks{
      .worker =
          [&](const std::string& id) {
            const CellConfig& config = work.configs[work.place_of(id)];
            std::vector<std::string> result = worker_arguments(arguments, config, threads.each);
            std::ranges::copy(work.worker_options(config), std::back_inserter(result));
            return result;
          },
      .measure =
          [&](const std::string& id) {
            return work.measure(work.place_of(id),
                                {.quiet = true, .training_threads = threads.each, .command = command});
          }};
  const optim::InterruptGuard interrupt;
  const GridOutcome outcome =
      run_grid(work.jobs, hooks, {.at_once = threads.at_once, .quiet = quiet, .interrupt = interrupt.flag()});
  if (outcome.interrupted) {
    fmt::print(stderr, "interrupted; the same command goes on from here\n");
    return interrupt.exit_code();
  }
  std::vector<Failure> failures;
  for (const auto& failed : outcome.failed) failures.push_back({failed.id, failed.reason});
  write_failures({arguments.out}, failures);
  work.report();
  if (failures.empty()) return 0;
  fail("{} of {} experiments failed; the first: {}: {}", failures.size(), work.jobs.size(), failures[0].id,
       failures[0].reason);
}

std::string command_line(const std::string& program, int argc, char** argv) {
  std::string command = program;
  for (int i = 1; i < argc; ++i) command += " " + shell_quote(argv[i]);
  return command;
}

}  // namespace lathe::experiments
