#include "commands.h"
#include "measure.h"
#include "table.h"

#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/base/random.h>

#include <nlohmann/json.hpp>

#include <algorithm>

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string file;
  std::int64_t runs = 0;
  std::int64_t batch = 1;
  std::string level;
  bool layers = false;
  bool json = false;
};

/// Random pixels: no kernel's speed may depend on easy input.
void fill_random(runtime::Plan& plan) {
  Rng rng(1);
  if (plan.input_dtype() == Dtype::f32) {
    rng.fill_uniform(plan.input<float>(), 0, 1);
  } else {
    for (std::uint8_t& pixel : plan.input<std::uint8_t>()) pixel = static_cast<std::uint8_t>(rng.below(256));
  }
}

/// Share of the weights that are 0, where it is large enough to matter, and whether the kernel leaves them
/// out.
std::string zeros_text(const runtime::StepInfo& step) {
  if (step.zeros < 0.05) return "";
  return fmt::format("{:.0f} % {}", 100 * step.zeros, step.sparse ? "left out" : "(dense wins)");
}

experiments::Table layer_table(const runtime::Plan& plan, const std::vector<double>& nanoseconds) {
  double total = 0;
  for (double time : nanoseconds) total += time;
  experiments::Table table{
      {"layer", "op", "kernel", "output", "us", "share %", "GOP/s", "threads", "strips", "zeros"}, {}};
  for (std::size_t i = 0; i < nanoseconds.size(); ++i) {
    const runtime::StepInfo& step = plan.steps()[i];
    table.rows.push_back(
        {step.name, step.op, step.kernel, std::string(to_string(step.dtype)) + to_string(step.output),
         fmt::format("{:.3f}", nanoseconds[i] / 1000),
         fmt::format("{:.1f}", 100 * nanoseconds[i] / std::max(total, 1.0)),
         step.flops > 0
             ? fmt::format("{:.1f}", static_cast<double>(step.flops) / std::max(nanoseconds[i], 1.0))
             : "",
         std::to_string(step.threads), step.strip > 0 ? std::to_string(step.strip) : "", zeros_text(step)});
  }
  return table;
}

/// Threads that the plan uses in any step.
int most_threads(const runtime::Plan& plan) {
  int most = 1;
  for (const runtime::StepInfo& step : plan.steps()) most = std::max(most, step.threads);
  return most;
}

std::string threads_text(int wanted, int used) {
  if (used < wanted) return fmt::format("{} thread{}: more would not help", used, used == 1 ? "" : "s");
  return used == 1 ? "1 thread" : fmt::format("{} threads", used);
}

int bench_file(const Arguments& arguments) {
  const int threads = std::max(arguments.common.threads, 1);
  set_num_threads(threads);
  runtime::PlanOptions options{.batch = arguments.batch, .level = {}, .threads = threads};
  if (!arguments.level.empty()) options.level = runtime::parse_level(arguments.level);
  runtime::Plan plan(load_network(arguments.file), options);
  fill_random(plan);
  const experiments::Latency latency = experiments::measure_latency(plan, arguments.runs);
  const auto layers =
      arguments.layers ? experiments::measure_steps(plan, latency.runs) : std::vector<double>{};

  if (arguments.json) {
    nlohmann::ordered_json result = {{"file", arguments.file},
                                     {"batch", arguments.batch},
                                     {"threads", most_threads(plan)},
                                     {"median_ms", latency.median_ms},
                                     {"mean_ms", latency.mean_ms},
                                     {"p90_ms", latency.p90_ms},
                                     {"p99_ms", latency.p99_ms},
                                     {"min_ms", latency.min_ms},
                                     {"max_ms", latency.max_ms},
                                     {"runs", latency.runs},
                                     {"arena_bytes", plan.arena_bytes()},
                                     {"packed_bytes", plan.packed_bytes()}};
    for (std::size_t i = 0; i < layers.size(); ++i)
      result["layers"].push_back({{"name", plan.steps()[i].name},
                                  {"op", plan.steps()[i].op},
                                  {"kernel", plan.steps()[i].kernel},
                                  {"zeros", plan.steps()[i].zeros},
                                  {"sparse", plan.steps()[i].sparse},
                                  {"threads", plan.steps()[i].threads},
                                  {"strip", plan.steps()[i].strip},
                                  {"median_us", layers[i] / 1000}});
    fmt::print("{}\n", result.dump());
    return 0;
  }
  fmt::print(
      "median {:.2f} us, mean {:.2f}, p90 {:.2f}, p99 {:.2f}, min {:.2f}, max {:.2f} ({} runs, batch {}, "
      "{})\n",
      1000 * latency.median_ms, 1000 * latency.mean_ms, 1000 * latency.p90_ms, 1000 * latency.p99_ms,
      1000 * latency.min_ms, 1000 * latency.max_ms, latency.runs, arguments.batch,
      threads_text(threads, most_threads(plan)));
  fmt::print("arena {} bytes, packed weights {} bytes\n", plan.arena_bytes(), plan.packed_bytes());
  if (arguments.layers) fmt::print("\n{}", experiments::to_text(layer_table(plan, layers)));
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand(
      "bench", "Latency of a file on this machine, on one thread unless --threads says more");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "A .lathe file or a checkpoint")->required();
  command
      ->add_option("--runs", arguments->runs,
                   "Timed runs (default: 1,000 or more; 50 when one takes over 20 ms)")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{100'000'000}));
  command->add_option("--batch", arguments->batch, "Images per run")
      ->check(CLI::Range(1, 65'536))
      ->capture_default_str();
  command->add_option(
      "--level", arguments->level,
      "Highest instruction set to use: reference, portable, avx2, avx512 (default: the best there is)");
  command->add_flag("--layers", arguments->layers, "Show the time of each layer and the kernel it runs on");
  command->add_flag("--json", arguments->json, "Print one line of JSON");
  experiments::add_common_options(*command, arguments->common);
  command->callback([&run, arguments] { run = [arguments] { return bench_file(*arguments); }; });
}

}  // namespace lathe::commands
