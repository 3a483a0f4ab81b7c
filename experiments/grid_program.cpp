#include "grid_program.h"

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
                                  "--threads",
                                  std::to_string(threads),
                                  "--out",
                                  arguments.out};
  if (!arguments.data.empty()) result.insert(result.end(), {"--data", arguments.data});
  if (!arguments.tensorboard.empty()) result.insert(result.end(), {"--tensorboard", arguments.tensorboard});
  return result;
}

std::string command_line(const std::string& program, int argc, char** argv) {
  std::string command = program;
  for (int i = 1; i < argc; ++i) command += std::string(" ") + argv[i];
  return command;
}

}  // namespace lathe::experiments
