#include "commands.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/compress/quantize.h>
#include <lathe/datasets/loader.h>
#include <lathe/graph/model_file.h>

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string file;
  std::string to;
  std::string calibrate;
  std::int64_t images = 1024;
  std::string data;
  std::string input = "f32";
  std::string output;
};

/// The first images of a training set, in batches.
std::vector<Tensor> calibration_batches(const Arguments& arguments) {
  const datasets::Named data = datasets::open(arguments.calibrate, datasets::data_root(arguments.data));
  const datasets::DataLoader loader(datasets::take(data.train, arguments.images), {.batch = 128});
  std::vector<Tensor> batches;
  for (auto epoch = loader.epoch(0); auto batch = epoch.next();) batches.push_back(batch->images);
  return batches;
}

int convert(const Arguments& arguments) {
  if (arguments.common.threads > 0) set_num_threads(arguments.common.threads);
  graph::Graph graph = load_network(arguments.file);
  if (arguments.to == "int8") {
    if (arguments.calibrate.empty())
      throw experiments::UsageError(
          "convert: int8 needs --calibrate NAME, a data set whose images show the ranges of the activations");
    const auto border = arguments.input == "u8" ? compress::QuantizeOptions::Border::u8
                                                : compress::QuantizeOptions::Border::f32;
    graph = compress::quantize(graph, compress::calibrate(graph, calibration_batches(arguments)),
                                    {.input = border});
  }
  graph::save(graph, arguments.output);
  if (!arguments.common.quiet)
    fmt::print("{}: {} bytes (from {} bytes)\n", arguments.output,
               std::filesystem::file_size(arguments.output), std::filesystem::file_size(arguments.file));
  return 0;
}

}  // namespace

void add_convert(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("convert", "Make a deployable file from a checkpoint or an fp32 file");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "A checkpoint (.safetensors) or an fp32 .lathe file")
      ->required();
  command->add_option("--to", arguments->to, "Number format: f32 or int8")
      ->required()
      ->check(CLI::IsMember({"f32", "int8"}));
  command->add_option("--calibrate", arguments->calibrate,
                      "Data set that shows the ranges of the activations (int8)");
  command->add_option("--images", arguments->images, "Calibration images")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command
      ->add_option("--input", arguments->input,
                   "What the deployed model takes (int8): f32 pixels in 0..1 or u8 pixels")
      ->check(CLI::IsMember({"f32", "u8"}))
      ->capture_default_str();
  command->add_option("-o,--output", arguments->output, "File to write")->required();
  experiments::add_data_option(*command, arguments->data);
  experiments::add_common_options(*command, arguments->common);
  command->callback([&run, arguments] { run = [arguments] { return convert(*arguments); }; });
}

}  // namespace lathe::commands
