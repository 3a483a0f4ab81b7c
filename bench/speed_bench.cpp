// The figures in README.md: training throughput of the bundled models at batch 128 (of those for photos at
// batch 16) with one and two threads, and the batch-1 latency of each plan (for photos with one and two
// threads). After the table, each ratio is printed with both of its sides, measured in this run.

#include <lathe/base/parallel.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/core/ops.h>
#include <lathe/core/precision.h>
#include <lathe/layers/models.h>
#include <lathe/optim/optimizer.h>
#include <lathe/runtime/plan.h>

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

using namespace lathe;

namespace {

constexpr std::int64_t kBatch = 128, kPhotoBatch = 16;

Tensor random_images(std::int64_t count, const Shape& image) {
  Tensor images = Tensor::empty(image.with(0, count));
  Rng(1).fill_uniform(images.mutable_span<float>(), 0, 1);
  return images;
}

/// Forward, loss, backward and Adam on one batch that is in memory already.
void train_step(benchmark::State& state, const layers::ModelInfo& info, std::int64_t batch, int threads,
                Precision precision) {
  const int before = num_threads();
  set_num_threads(threads);
  const PrecisionScope scope(precision);
  const auto model = info.make();
  model->reset(Rng(0));
  optim::Adam optimizer(model->parameters(), {});
  const Tensor images = random_images(batch, info.input);
  Tensor labels = Tensor::zeros({batch}, Dtype::i32);
  for (std::int64_t i = 0; i < batch; ++i)
    labels.mutable_span<std::int32_t>()[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>(i % info.classes);
  for (auto _ : state) {
    cross_entropy((*model)(images), labels).backward();
    optimizer.step();
    optimizer.clear_grads();
  }
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * batch), benchmark::Counter::kIsRate);
  set_num_threads(before);
}

bool for_digits(const layers::ModelInfo& info) { return info.input == Shape{1, 28, 28, 1}; }

enum class Variant { f32, f16, dynamic, int8, int16x8 };
constexpr std::pair<Variant, const char*> kVariants[] = {{Variant::f32, "f32"},
                                                         {Variant::f16, "f16"},
                                                         {Variant::dynamic, "dynamic"},
                                                         {Variant::int8, "int8"},
                                                         {Variant::int16x8, "int16x8"}};

graph::Graph make_graph(const layers::ModelInfo& info, Variant variant) {
  const auto model = info.make();
  model->reset(Rng(0));
  const graph::Graph graph = compress::export_float(*model, info.input);
  if (variant == Variant::f32) return graph;
  if (variant == Variant::f16) return compress::to_half(graph);
  if (variant == Variant::dynamic) return compress::quantize_dynamic(graph);
  const Tensor images = random_images(for_digits(info) ? 32 : 4, info.input);
  const auto scheme = variant == Variant::int8 ? compress::Scheme::int8 : compress::Scheme::int16x8;
  return compress::quantize(graph, compress::calibrate(graph, std::span(&images, 1)), {.scheme = scheme});
}

void plan_run(benchmark::State& state, const layers::ModelInfo& info, Variant variant, int threads) {
  runtime::Plan plan(make_graph(info, variant), {.threads = threads});
  const Tensor image = random_images(1, info.input);
  for (auto _ : state) {
    std::ranges::copy(image.span<float>(), plan.input<float>().begin());  // run() reuses the memory
    plan.run();
    benchmark::ClobberMemory();
  }
}

/// Keeps the median of each benchmark's real time for the ratios.
class RatioReporter : public benchmark::ConsoleReporter {
 public:
  RatioReporter() : ConsoleReporter(isatty(STDOUT_FILENO) ? OO_ColorTabular : OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs)
      if (run.run_type == Run::RT_Aggregate ? run.aggregate_name == "median" : run.repetitions <= 1)
        times_[run.run_name.function_name] = run.GetAdjustedRealTime();
    ConsoleReporter::ReportRuns(runs);
  }

  void print_ratios() const {
    for (const layers::ModelInfo& info : layers::models()) {
      if (!for_digits(info)) {
        print_photo_ratios(info);
        continue;
      }
      print(fmt::format("{} training, 2 threads against 1", info.name),
            fmt::format("train/{}/threads_1", info.name), fmt::format("train/{}/threads_2", info.name),
            "us a step");
      print(fmt::format("{} training, bf16 against f32", info.name),
            fmt::format("train/{}/threads_1", info.name), fmt::format("train_bf16/{}/threads_1", info.name),
            "us a step");
      for (const char* variant : {"f16", "dynamic", "int8", "int16x8"})
        print(fmt::format("{} inference, {} against fp32", info.name, variant),
              fmt::format("run/{}/f32", info.name), fmt::format("run/{}/{}", info.name, variant), "us");
    }
  }

 private:
  void print_photo_ratios(const layers::ModelInfo& info) const {
    for (const auto& [variant, name] : kVariants) {
      const std::string one = fmt::format("run_photos/{}/{}/threads_1", info.name, name);
      if (variant != Variant::f32)
        print(fmt::format("{} inference, {} against fp32", info.name, name),
              fmt::format("run_photos/{}/f32/threads_1", info.name), one, "ms");
      print(fmt::format("{} inference, {}, 2 threads against 1", info.name, name), one,
            fmt::format("run_photos/{}/{}/threads_2", info.name, name), "ms");
    }
  }

  void print(const std::string& what, const std::string& slow, const std::string& fast,
             const char* unit) const {
    const auto a = times_.find(slow), b = times_.find(fast);
    if (a == times_.end() || b == times_.end()) return;
    fmt::print("{:<44} {:>9.2f} / {:>9.2f} {:<9} = {:.2f}x\n", what, a->second, b->second, unit,
               a->second / b->second);
  }

  std::map<std::string, double> times_;
};

}  // namespace

int main(int argc, char** argv) {
  for (const layers::ModelInfo& info : layers::models()) {
    const bool digits = for_digits(info);
    for (int threads : {1, 2})
      benchmark::RegisterBenchmark(
          fmt::format("{}/{}/threads_{}", digits ? "train" : "train_photos", info.name, threads).c_str(),
          train_step, info, digits ? kBatch : kPhotoBatch, threads, Precision::f32)
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    if (digits && is_supported(Precision::bf16))
      benchmark::RegisterBenchmark(fmt::format("train_bf16/{}/threads_1", info.name).c_str(), train_step,
                                   info, kBatch, 1, Precision::bf16)
          ->Unit(benchmark::kMicrosecond)
          ->UseRealTime();
    for (const auto& [variant, name] : kVariants) {
      if (digits)
        benchmark::RegisterBenchmark(fmt::format("run/{}/{}", info.name, name).c_str(), plan_run, info,
                                     variant, 1)
            ->Unit(benchmark::kMicrosecond)
            ->UseRealTime();
      else
        for (int threads : {1, 2})
          benchmark::RegisterBenchmark(
              fmt::format("run_photos/{}/{}/threads_{}", info.name, name, threads).c_str(), plan_run, info,
              variant, threads)
              ->Unit(benchmark::kMillisecond)
              ->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.print_ratios();
  return 0;
}
