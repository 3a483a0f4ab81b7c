// The study on photos of cats and dogs: trains a network, or its head, compresses it in every way, deploys
// each result as every variant, measures, reports.

#include "grid_program.h"
#include "kind.h"
#include "photo_report.h"
#include "photo_study.h"
#include "photo_tables.h"
#include "progress.h"
#include "report.h"
#include "rows.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/datasets/folder.h>
#include <lathe/layers/models.h>
#include <lathe/layers/pretrained.h>
#include <lathe/optim/interrupt.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>

using namespace lathe;
using namespace lathe::experiments;

namespace {

constexpr const char* kPhotos = "cats_vs_dogs";
constexpr const char* kStandIn = "synthetic-shapes";
constexpr const char* kWeights = "weights/mobilenet_v2_1.0_224_imagenet.safetensors";
constexpr std::int64_t kQuickTrain = 150, kQuickTest = 100;  // photos of each class
constexpr std::int64_t kQuickRuns = 50;                      // timed

struct Arguments {
  CommonOptions common;
  std::string data;
  std::string dataset;
  std::string model;
  std::string weights;
  std::vector<std::string> freeze;
  std::vector<std::string> rates;
  std::string schedule = "one-cycle";
  std::vector<std::string> kinds;
  std::uint64_t seed = 0;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;
  Precision precision = Precision::f32;
  std::int64_t test_above = 0;
  std::string out = "cats-vs-dogs";
  std::string tensorboard;
  std::string cache;
  bool strict = false;
  bool quick = false;
};

void add_options(CLI::App& app, Arguments& arguments) {
  add_common_options(app, arguments.common);
  add_data_option(app, arguments.data);
  app.add_option(
      "--dataset", arguments.dataset,
      "A folder of the data folder with one sub-folder of photos for each class, or synthetic-shapes. "
      "Default: cats_vs_dogs where it is, else synthetic-shapes");
  app.add_option(
      "--model", arguments.model,
      "mobilenet_v2, efficientnet_b0 or small_cnn. Default: mobilenet_v2 where its weights are, else "
      "small_cnn");
  app.add_option(
      "--weights", arguments.weights,
      "safetensors file to start from. Default for mobilenet_v2: that of ImageNet in the data folder's "
      "weights/, if it is there");
  app.add_option(
         "--freeze", arguments.freeze,
         "Parameters that are not trained, globs separated by commas: 'features.*' trains the head alone")
      ->delimiter(',');
  app.add_option(
         "--rates", arguments.rates,
         "Parameters that learn at a share of the rate, GLOB=SHARE separated by commas: 'features.*=0.1'")
      ->delimiter(',');
  app.add_option(
         "--schedule", arguments.schedule,
         "one-cycle: the learning rate goes up and down over all steps, the last weights are kept. plateau, "
         "as "
         "published: a constant rate, a tenth of it when the loss stands still, and the weights of the best "
         "validation accuracy")
      ->capture_default_str();
  app.add_option(
         "--kinds", arguments.kinds,
         "What is done to the model, separated by commas; as for lathe-mnist-report, and prune-S-dense and "
         "qat-dense for linear layers alone")
      ->delimiter(',');
  app.add_option("--seed", arguments.seed, "Seed of weights, order and split")->capture_default_str();
  app.add_option("--epochs", arguments.epochs, "Epochs of each training. Default: 2, of small_cnn 20")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--batch", arguments.batch, "Images per training step. Default: 16, of small_cnn 32")
      ->check(CLI::Range(1, 4096));
  add_precision_option(app, arguments.precision);
  app.add_option("--test-above", arguments.test_above,
                 "The test photos are those whose number is above this. Default: four fifths of the highest")
      ->check(CLI::Range(1, 1'000'000'000));
  app.add_option("--out", arguments.out, "Folder for the results; finished experiments in it are kept")
      ->capture_default_str();
  app.add_option(
      "--cache", arguments.cache,
      "Folder for files of decoded photos, which later runs map instead of decoding all again (about "
      "150 KB each at 224x224)");
  app.add_option("--tensorboard", arguments.tensorboard,
                 "Folder for event files of the trainings, for tensorboard --logdir");
  app.add_flag("--strict", arguments.strict, "A photo that cannot be read is an error");
  app.add_flag(
      "--quick", arguments.quick,
      "A few minutes at most: 1 epoch on 150 photos of each class, 100 of each to test, fewer kinds");
}

/// Fills in what was not said, from what there is.
void choose_defaults(Arguments& arguments, const std::filesystem::path& root) {
  const auto there = [&](const char* name) { return std::filesystem::exists(root / name); };
  if (arguments.dataset.empty()) arguments.dataset = there(kPhotos) ? kPhotos : kStandIn;
  if (arguments.model.empty())
    arguments.model = !arguments.weights.empty() || there(kWeights) ? "mobilenet_v2" : "small_cnn";
  if (arguments.weights.empty() && arguments.model == "mobilenet_v2" && there(kWeights))
    arguments.weights = (root / kWeights).string();
  const bool small = arguments.model == "small_cnn";
  if (arguments.epochs == 0) arguments.epochs = arguments.quick ? 1 : small ? 20 : 2;
  if (arguments.batch == 0) arguments.batch = small ? 32 : 16;
  if (arguments.kinds.empty()) {
    arguments.kinds = {"baseline", "prune-0.5", "cluster-16", "qat"};
    if (!arguments.quick)
      arguments.kinds = {"baseline",
                         "prune-0.5-dense",
                         "prune-0.5",
                         "prune-0.8",
                         "cluster-16-linear",
                         "cluster-16",
                         "qat-dense",
                         "qat",
                         "prune-0.5+cluster-16+qat"};
  }
}

/// "features.*=0.1"
std::pair<std::string, float> parse_rate(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  float share = 0;
  const char* end = text.data() + text.size();
  const bool number = equals != std::string::npos && std::from_chars(text.data() + equals + 1, end, share) ==
                                                         std::from_chars_result{end, std::errc()};
  if (!number || equals == 0 || !std::isfinite(share) || share < 0)
    throw UsageError(fmt::format("--rates: '{}' is no GLOB=SHARE with a share of 0 or more", text));
  return {text.substr(0, equals), share};
}

RateSchedule parse_schedule(const std::string& text) {
  try {
    return parse_rate_schedule(text);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--schedule: {}", error.what()));
  }
}

std::vector<PhotoExperiment> make_experiments(const Arguments& arguments) {
  const RateSchedule schedule = parse_schedule(arguments.schedule);
  std::vector<std::pair<std::string, float>> rates;
  for (const std::string& text : arguments.rates) rates.push_back(parse_rate(text));
  std::vector<PhotoExperiment> experiments;
  for (const std::string& text : arguments.kinds) {
    Kind kind;
    try {
      kind = parse_kind(text);
      check(!kind.distil, "kd needs a teacher, and there is none for photos");
    } catch (const Error& error) {
      throw UsageError(fmt::format("--kinds: {}", error.what()));
    }
    experiments.push_back({.config = {.base = arguments.model,
                                      .kind = to_string(kind),
                                      .seed = arguments.seed,
                                      .dataset = arguments.dataset,
                                      .epochs = arguments.epochs,
                                      .batch = arguments.batch,
                                      .train_limit = arguments.quick ? 2 * kQuickTrain : 0,
                                      .precision = arguments.precision},
                           .weights = arguments.weights,
                           .test_above = arguments.test_above,
                           .freeze = arguments.freeze,
                           .rates = rates,
                           .schedule = schedule,
                           .latency_runs = arguments.quick ? kQuickRuns : 0});
  }
  return experiments;
}

const layers::ModelInfo& find_photo_model(const std::string& name) {
  try {
    const layers::ModelInfo& info = layers::find_model(name);
    check(info.input[3] == 3, "{} takes images of {}, no photos", name, to_string(info.input));
    return info;
  } catch (const Error& error) {
    throw UsageError(fmt::format("--model: {}", error.what()));
  }
}

/// Mistakes that would only show after the photos are read.
void check_start(const Arguments& arguments, const std::vector<PhotoExperiment>& experiments,
                 const layers::ModelInfo& info) {
  const auto model = info.make();
  if (!arguments.weights.empty()) load_start(*model, std::string(info.name), arguments.weights);
  try {
    if (!arguments.freeze.empty()) layers::freeze(*model, arguments.freeze);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--{}", error.what()));  // "freeze: ..."
  }
  try {
    for (const auto& [pattern, share] : experiments.at(0).rates)
      layers::match_parameters(layers::trainable_parameters(*model), pattern, "rates");
  } catch (const Error& error) {
    throw UsageError(fmt::format("--{}", error.what()));
  }
}

datasets::Named open_photos(const Arguments& arguments, const Shape& input,
                            const std::filesystem::path& root) {
  const datasets::FolderOptions options{.image = {input[1], input[2], input[3]},
                                        .test_above = arguments.test_above,
                                        .seed = arguments.seed,
                                        .limit = arguments.quick ? kQuickTrain : 0,
                                        .strict = arguments.strict,
                                        .cache = arguments.cache};
  datasets::Named data = datasets::open(arguments.dataset, root, options);
  check(data.train->classes().size() == 2, "{}: {} classes, the networks are made for 2", arguments.dataset,
        data.train->classes().size());
  if (arguments.quick) data.test = datasets::take(data.test, 2 * kQuickTest);
  return data;
}

void tell_about(const datasets::Named& data, const Arguments& arguments) {
  if (arguments.common.quiet) return;
  if (data.generated)
    fmt::print(stderr, "{} is generated: the results say nothing about real photos\n", arguments.dataset);
  fmt::print(stderr, "{}: {} photos to train on, {} to test on\n", arguments.dataset, data.train->size(),
             data.test->size());
  if (data.skipped.empty()) return;
  fmt::print(stderr, "{} files are left out:\n", data.skipped.size());
  for (const datasets::SkippedFile& file : data.skipped)
    fmt::print(stderr, "  {}: {}\n", file.name, file.reason);
}

int run(Arguments arguments, const std::string& command) {
  check_supported(arguments.precision);
  const std::filesystem::path root = datasets::data_root(arguments.data);
  choose_defaults(arguments, root);
  const layers::ModelInfo& info = find_photo_model(arguments.model);
  const std::vector<PhotoExperiment> experiments = make_experiments(arguments);
  const ResultFolder folder{arguments.out};
  // Looked at first: a cell with other settings is an error before any work is done.
  std::vector<Cell> cells;
  for (const PhotoExperiment& experiment : experiments) cells.push_back(find_photo_cell(experiment, folder));
  check_start(arguments, experiments, info);
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  const datasets::Named data = open_photos(arguments, info.input, root);
  tell_about(data, arguments);

  const optim::InterruptGuard interrupt;
  for (std::size_t i = 0; i < experiments.size(); ++i) {
    if (!cells[i].is_null()) continue;
    const std::string id = experiments[i].config.id();
    const CellOptions options{.quiet = arguments.common.quiet,
                              .title = fmt::format("[{}/{}] {}", i + 1, experiments.size(), id),
                              .command = command,
                              .tensorboard = arguments.tensorboard,
                              .interrupt = interrupt.flag()};
    cells[i] = run_photo_cell(experiments[i], data, folder, options);
    if (cells[i].is_null()) {
      fmt::print(stderr, "interrupted; the same command goes on from here\n");
      return interrupt.exit_code();
    }
    write_report(folder, {.command = command, .figures = false});
  }
  if (data.generated) fmt::print("Generated data ({}), no photos:\n", arguments.dataset);
  std::vector<Row> rows;
  for (const Cell& cell : cells) rows.push_back(make_row(cell));
  std::fputs(to_text(stage_table(rows)).c_str(), stdout);
  std::vector<std::string> missing =
      write_photo_report(folder, rows, {.command = command, .dataset = arguments.dataset, .data = &data});
  std::ranges::copy(write_report(folder, {.command = command}), std::back_inserter(missing));
  for (const std::string& line : missing) fmt::print(stderr, "lathe-cats-vs-dogs: {}\n", line);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Tunes a network on photos of cats and dogs, compresses it in every way, and reports accuracy, size "
      "and "
      "latency.",
      "lathe-cats-vs-dogs");
  Arguments arguments;
  add_options(app, arguments);
  return run_program(app, argc, argv,
                     [&] { return run(arguments, command_line("lathe-cats-vs-dogs", argc, argv)); });
}
