#include <lathe/base/error.h>
#include <lathe/datasets/image.h>
#include <lathe/runtime/plan.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "commands.h"

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string file;
  std::vector<std::string> images;
  std::int64_t top = 3;
  bool invert = false;
  bool crop = false;
  bool json = false;
};

struct Guess {
  std::int64_t label;
  double probability;
};

/// Softmax of the logits, most probable first.
std::vector<Guess> rank(std::span<const float> logits) {
  const float largest = std::ranges::max(logits);
  std::vector<Guess> guesses;
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    guesses.push_back({static_cast<std::int64_t>(i), std::exp(static_cast<double>(logits[i] - largest))});
    sum += guesses.back().probability;
  }
  for (Guess& guess : guesses) guess.probability /= sum;
  std::ranges::stable_sort(guesses, std::ranges::greater{}, &Guess::probability);
  return guesses;
}

/// The output as real numbers; `codes` says what its integers mean.
std::vector<float> scores(const runtime::Plan& plan, const std::optional<graph::Quantization>& codes) {
  if (plan.output_dtype() == Dtype::f32) return {plan.output<float>().begin(), plan.output<float>().end()};
  std::vector<float> result;
  for (std::uint8_t code : plan.output<std::uint8_t>())
    result.push_back(codes->scale[0] * static_cast<float>(code - codes->zero_point));
  return result;
}

std::vector<Guess> classify(runtime::Plan& plan, const std::optional<graph::Quantization>& codes,
                            const std::string& path, const datasets::ImageOptions& options) {
  const Shape shape(plan.input_shape().dims().subspan(1));
  const Tensor image = datasets::read_image(path, shape, options);
  if (plan.input_dtype() == Dtype::f32)
    std::ranges::copy(image.span<float>(), plan.input<float>().begin());
  else
    std::ranges::transform(image.span<float>(), plan.input<std::uint8_t>().begin(),
                           [](float x) { return static_cast<std::uint8_t>(std::lround(255 * x)); });
  plan.run();
  return rank(scores(plan, codes));
}

int predict(const Arguments& arguments) {
  const graph::Graph network = load_network(arguments.file);
  runtime::Plan plan(network);
  check(plan.inputs() == 1 && plan.outputs() == 1 && plan.input_shape().rank() == 4 &&
            (plan.output_dtype() == Dtype::f32 || plan.output_dtype() == Dtype::u8),
        "predict: {} is not a network that takes one image and gives one row of scores", arguments.file);
  const datasets::ImageOptions options{
      .fit = arguments.crop ? datasets::ImageOptions::Fit::crop : datasets::ImageOptions::Fit::stretch,
      .invert = arguments.invert};
  int failures = 0;
  for (const std::string& path : arguments.images) {
    std::vector<Guess> guesses;
    try {
      guesses = classify(plan, network.value(network.outputs()[0]).quantization, path, options);
    } catch (const Error& error) {  // one bad picture does not keep the others from being looked at
      fmt::print(stderr, "lathe: {}\n", error.what());
      ++failures;
      continue;
    }
    guesses.resize(std::min<std::size_t>(guesses.size(), static_cast<std::size_t>(arguments.top)));
    if (arguments.json) {
      nlohmann::ordered_json result = {{"image", path}};
      for (const auto& [label, probability] : guesses)
        result["classes"].push_back({{"class", label}, {"probability", probability}});
      fmt::print("{}\n", result.dump());
    } else {
      std::string line = path + ":";
      for (const auto& [label, probability] : guesses)
        line += fmt::format("  {} ({:.1f} %)", label, 100 * probability);
      fmt::print("{}\n", line);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace

void add_predict(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("predict", "Classes of pictures (PNG, JPEG, BMP), most probable first");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "A .lathe file or a checkpoint")->required();
  command->add_option("images", arguments->images, "Pictures; resized to what the model takes")->required();
  command->add_option("--top", arguments->top, "How many classes to show")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--invert", arguments->invert,
                    "Swap dark and light: for dark digits on light paper, as MNIST has light ones on dark");
  command->add_flag("--crop", arguments->crop, "Cut out the middle instead of stretching the picture");
  command->add_flag("--json", arguments->json, "Print one line of JSON for each picture");
  experiments::add_common_options(*command, arguments->common);
  command->callback([&run, arguments] { run = [arguments] { return predict(*arguments); }; });
}

}  // namespace lathe::commands
