#include "commands.h"
#include "open_data.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/compress/quantize.h>
#include <lathe/datasets/loader.h>
#include <lathe/graph/model_file.h>

#include <map>
#include <string>

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string file;
  std::string to;
  std::string calibrate;
  std::int64_t images = 1024;
  std::string estimator = "min-max";
  double percentage = compress::CalibrationOptions{}.percentage;
  DataOptions data;
  std::string input = "f32", output = "f32";
  std::string target;
};

/// The first images of a training set, in batches.
std::vector<Tensor> calibration_batches(const Arguments& arguments, const graph::Graph& graph) {
  const datasets::Named data = open_data(arguments.calibrate, arguments.data, graph);
  const datasets::DataLoader loader(datasets::take(data.train, arguments.images), {.batch = 128});
  std::vector<Tensor> batches;
  for (auto epoch = loader.epoch(0); auto batch = epoch.next();) batches.push_back(batch->images);
  return batches;
}

const std::map<std::string, compress::Estimator> kEstimators = {
    {"min-max", compress::Estimator::min_max},
    {"percentile", compress::Estimator::percentile},
    {"mse", compress::Estimator::mean_squared_error}};

compress::Border border(const std::string& name) {
  return name == "u8" ? compress::Border::u8 : compress::Border::f32;
}

graph::Graph quantize(const graph::Graph& graph, const Arguments& arguments,
                      std::vector<compress::FloatNode>& left_float) {
  const compress::CalibrationOptions calibration{.estimator = kEstimators.at(arguments.estimator),
                                                 .percentage = arguments.percentage};
  const compress::QuantizeOptions options{
      .scheme = arguments.to == "int8" ? compress::Scheme::int8 : compress::Scheme::int16x8,
      .input = border(arguments.input),
      .output = border(arguments.output)};
  const auto ranges = compress::calibrate(graph, calibration_batches(arguments, graph), calibration);
  return compress::quantize(graph, ranges, options, &left_float);
}

int convert(const Arguments& arguments) {
  const bool integer = arguments.to == "int8" || arguments.to == "int16x8";
  if (integer && arguments.calibrate.empty())
    throw experiments::UsageError(
        fmt::format("convert: {} needs --calibrate NAME, a data set whose images show the ranges of the "
                    "activations",
                    arguments.to));
  if (!integer && (arguments.input == "u8" || arguments.output == "u8"))
    throw experiments::UsageError(fmt::format(
        "convert: --input u8 and --output u8 are for int8 and int16x8, not for {}", arguments.to));
  if (arguments.to == "int16x8" && arguments.estimator == "mse")
    throw experiments::UsageError(
        "convert: --estimator mse is for int8: 16 bits have room for all that was seen (min-max)");
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  const graph::Graph given = load_network(arguments.file);
  std::vector<compress::FloatNode> left_float;
  graph::Graph result = given;
  if (arguments.to == "f16") result = compress::to_half(given, &left_float);
  if (arguments.to == "dynamic") result = compress::quantize_dynamic(given, {}, &left_float);
  if (integer) result = quantize(given, arguments, left_float);
  graph::save(result, arguments.target);
  if (arguments.common.quiet) return 0;
  for (const compress::FloatNode& node : left_float)
    fmt::print("stays float: {}: {}\n", describe(given, given.nodes()[node.node]), node.reason);
  fmt::print("{}: {} bytes (from {} bytes)\n", arguments.target, std::filesystem::file_size(arguments.target),
             std::filesystem::file_size(arguments.file));
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("convert", "Make a deployable file from a checkpoint or an fp32 file");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "A checkpoint (.safetensors) or an fp32 .lathe file")
      ->required();
  command
      ->add_option("--to", arguments->to,
                   "Number format: f32; f16 (weights only); dynamic (int8 weights, activations quantized as "
                   "they come); int8; int16x8 (16-bit activations, int8 weights)")
      ->required()
      ->check(CLI::IsMember({"f32", "f16", "dynamic", "int8", "int16x8"}));
  command->add_option("--calibrate", arguments->calibrate,
                      "Data set that shows the ranges of the activations (int8, int16x8)");
  command->add_option("--images", arguments->images, "Calibration images")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--estimator", arguments->estimator,
                   "Ranges: all that was seen (min-max), without the rarest (percentile), or those of the "
                   "least squared error (mse, for int8)")
      ->check(CLI::IsMember(kEstimators))
      ->capture_default_str();
  command
      ->add_option("--percentage", arguments->percentage,
                   "Of percentile: how much of what was seen a range holds")
      ->check(CLI::Range(50.001, 100.0))
      ->capture_default_str();
  command
      ->add_option("--input", arguments->input,
                   "What the deployed model takes (int8, int16x8): f32 pixels in 0..1 or u8 pixels")
      ->check(CLI::IsMember({"f32", "u8"}))
      ->capture_default_str();
  command
      ->add_option("--output", arguments->output,
                   "What it gives (int8, int16x8): f32 scores, or their u8 codes")
      ->check(CLI::IsMember({"f32", "u8"}))
      ->capture_default_str();
  command->add_option("-o,--out", arguments->target, "File to write")->required();
  add_data_options(*command, arguments->data);
  experiments::add_common_options(*command, arguments->common);
  command->callback([&run, arguments] { run = [arguments] { return convert(*arguments); }; });
}

}  // namespace lathe::commands
