#include "commands.h"
#include "measure.h"
#include "open_data.h"
#include "progress.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>

#include <nlohmann/json.hpp>

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string file;
  std::string dataset = "mnist";
  DataOptions data;
  bool json = false;
};

int evaluate_file(const Arguments& arguments) {
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  const graph::Graph graph = load_network(arguments.file);
  const datasets::Named data = open_data(arguments.dataset, arguments.data, graph);
  double accuracy = 0;
  {
    experiments::ProgressLine line(arguments.common.quiet ? nullptr : stderr, "test set");
    const auto predictions = experiments::predict(
        graph, *data.test, [&](std::int64_t done, std::int64_t total) { line.update(done, total); });
    accuracy = experiments::accuracy(predictions, *data.test);
  }
  if (arguments.json) {
    const nlohmann::ordered_json result = {{"file", arguments.file},
                                           {"dataset", arguments.dataset},
                                           {"generated", data.generated},
                                           {"images", data.test->size()},
                                           {"accuracy", accuracy}};
    fmt::print("{}\n", result.dump());
  } else {
    fmt::print("accuracy {:.2f} % of {} images of {}{}\n", 100 * accuracy, data.test->size(),
               arguments.dataset, data.generated ? " (generated data)" : "");
  }
  return 0;
}

}  // namespace

void add_eval(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("eval", "Accuracy of a file on the whole test set");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "A .lathe file or a checkpoint")->required();
  command
      ->add_option("--dataset", arguments->dataset,
                   "Data set: a folder of the data folder, or synthetic-digits")
      ->capture_default_str();
  add_data_options(*command, arguments->data);
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  experiments::add_common_options(*command, arguments->common);
  command->callback([&run, arguments] { run = [arguments] { return evaluate_file(*arguments); }; });
}

}  // namespace lathe::commands
