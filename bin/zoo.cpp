// The published table of large networks: file size and latency of floats and integers, measured here.

#include "grid_program.h"
#include "progress.h"
#include "zoo_report.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

using namespace lathe;
using namespace lathe::experiments;

namespace {

constexpr const char* kStandIn = "synthetic-shapes";
constexpr std::int64_t kQuickRuns = 10, kQuickImages = 2, kQuickSteps = 1;

struct Arguments {
  CommonOptions common;
  std::string data;
  std::string dataset;
  std::vector<std::string> models;
  std::vector<std::string> variants;
  std::vector<std::string> weights;
  std::uint64_t seed = 0;
  std::int64_t runs = 0;
  std::int64_t qat_steps = 0;
  std::string out = "zoo";
  bool quick = false;
};

void add_options(CLI::App& app, Arguments& arguments) {
  add_common_options(app, arguments.common);
  add_data_option(app, arguments.data);
  app.add_option("--models", arguments.models,
                 "Networks, separated by commas: mobilenet_v1, mobilenet_v2, inception_v3, resnet_v2_101. "
                 "Default: all; with --quick the first")
      ->delimiter(',');
  app.add_option("--variants", arguments.variants,
                 "What is made of each, separated by commas: float, int8 (quantized after training), qat "
                 "(int8 with quantization-aware training). Default: all")
      ->delimiter(',');
  app.add_option(
         "--weights", arguments.weights,
         "safetensors files, MODEL=FILE, separated by commas. Networks without one get random weights: "
         "size and latency do not need others")
      ->delimiter(',');
  app.add_option("--dataset", arguments.dataset,
                 "A folder of the data folder with one sub-folder of photos for each class: ranges come from "
                 "it, and for networks with weights accuracy. Default: synthetic-shapes, no accuracy");
  app.add_option("--seed", arguments.seed, "Seed of random weights and of the images' order")
      ->capture_default_str();
  app.add_option("--runs", arguments.runs,
                 "Timed runs of each file (default: 1,000 or more; 50 when one takes over 20 ms)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--qat-steps", arguments.qat_steps,
                 "Steps of training with quantizers (default 2: they settle the ranges)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--out", arguments.out, "Folder for zoo.csv, zoo.md and zoo.html")->capture_default_str();
  app.add_flag("--quick", arguments.quick, "One small network, few images and runs");
}

/// Networks and variants that were asked for, in the order of the table.
std::vector<const ZooNetwork*> choose(Arguments& arguments) {
  for (const std::string& variant : arguments.variants)
    if (std::ranges::find(zoo_variants(), variant) == zoo_variants().end())
      throw UsageError(fmt::format("--variants: there is no '{}'; there are: float, int8, qat", variant));
  if (arguments.variants.empty()) arguments.variants.assign(zoo_variants().begin(), zoo_variants().end());
  try {
    for (const std::string& model : arguments.models) find_zoo_network(model);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--models: {}", error.what()));
  }
  if (arguments.models.empty() && arguments.quick) arguments.models = {std::string(zoo()[0].model)};
  std::vector<const ZooNetwork*> networks;
  for (const ZooNetwork& network : zoo())
    if (arguments.models.empty() ||
        std::ranges::find(arguments.models, network.model) != arguments.models.end())
      networks.push_back(&network);
  return networks;
}

/// Files by network. Mistakes show before any work is done.
std::map<std::string, std::string> find_weights(const Arguments& arguments,
                                                const std::vector<const ZooNetwork*>& networks) {
  std::map<std::string, std::string> files;
  for (const std::string& text : arguments.weights) {
    const std::size_t equals = text.find('=');
    const std::string model = text.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == text.size())
      throw UsageError(fmt::format("--weights: expected MODEL=FILE, given '{}'", text));
    if (std::ranges::find(networks, model, &ZooNetwork::model) == networks.end())
      throw UsageError(fmt::format("--weights: '{}' is none of the networks to measure", model));
    if (!files.emplace(model, text.substr(equals + 1)).second)
      throw UsageError(fmt::format("--weights: '{}' is given twice", model));
  }
  for (const auto& [model, file] : files) classes_of_weights(file);  // throws when it has none
  return files;
}

std::vector<std::string> remarks_on(const std::vector<const ZooNetwork*>& networks,
                                    const std::map<std::string, std::string>& weights, bool labelled) {
  std::string random;
  for (const ZooNetwork* network : networks)
    if (!weights.contains(std::string(network->model)))
      random += (random.empty() ? "" : ", ") + std::string(network->model);
  std::vector<std::string> remarks;
  if (!random.empty())
    remarks.push_back(fmt::format(
        "Random weights ({}): size and latency are those of the network, accuracy is left empty.", random));
  if (!weights.empty() && !labelled)
    remarks.push_back("No labelled photos (--dataset): accuracy is left empty.");
  return remarks;
}

int run(Arguments arguments, const std::string& command) {
  const std::vector<const ZooNetwork*> networks = choose(arguments);
  const auto weights = find_weights(arguments, networks);
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  const std::filesystem::path root = datasets::data_root(arguments.data);
  const std::string dataset = arguments.dataset.empty() ? kStandIn : arguments.dataset;
  ZooReport report{.command = command, .dataset = dataset, .remarks = {}};

  std::vector<ZooResult> results;
  for (const ZooNetwork* network : networks) {
    const datasets::Named data = zoo_images(dataset, root, zoo_input(*network));
    report.generated = data.generated;
    report.remarks = remarks_on(networks, weights, !data.generated);
    const auto file = weights.find(std::string(network->model));
    ZooOptions options{.variants = arguments.variants,
                       .weights = file == weights.end() ? "" : file->second,
                       .seed = arguments.seed,
                       .runs = arguments.runs};
    if (arguments.quick) options.images = kQuickImages, options.qat_steps = kQuickSteps;
    if (arguments.quick && options.runs == 0) options.runs = kQuickRuns;
    if (arguments.qat_steps > 0) options.qat_steps = arguments.qat_steps;
    options.accuracy = !options.weights.empty() && !data.generated;
    // The weights, then two or three pieces of work for each variant.
    const auto pieces = static_cast<std::int64_t>(1 + arguments.variants.size() * (options.accuracy ? 3 : 2));
    std::int64_t done = 0;
    ProgressLine line(arguments.common.quiet ? nullptr : stderr, std::string(network->model));
    options.progress = [&](const std::string&) { line.update(done++, pieces); };
    for (ZooResult& result : measure_network(*network, data, options)) results.push_back(std::move(result));
    // After each network: what is measured is not lost when a later one is interrupted.
    write_zoo(results, report, arguments.out);
  }
  for (const std::string& remark : report.remarks) fmt::print("{}\n", remark);
  if (report.generated) fmt::print("Generated pictures ({}), no photos, gave the ranges.\n", dataset);
  std::fputs(to_text(zoo_table(results)).c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Measures file size and latency of large networks in floats and integers beside the published table.",
      "lathe-zoo");
  Arguments arguments;
  add_options(app, arguments);
  return run_program(app, argc, argv, [&] { return run(arguments, command_line("lathe-zoo", argc, argv)); });
}
