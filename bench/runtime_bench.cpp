// Kernels and whole plans of the runtime, batch 1, one thread, and beside them convolutions and linear layers
// by oneDNN. The label is the kernel that ran. GOP/s counts two operations a multiply-add (as the graph has
// them: padding and what a joined pool skips included), peak% is their share of what one core of this
// processor can do with such numbers (peak.h). GB/s, of ops without multiply-adds, counts inputs and outputs.

#include <lathe/runtime/plan.h>

#include "../core/kernels/onednn/common.h"
#include "onednn_layers.h"
#include "peak.h"
#include "runtime/graphs.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <functional>
#include <numeric>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;

namespace {

/// Random inputs, written before each run: run() reuses their memory, and what is left there may be denormal.
class Inputs {
 public:
  explicit Inputs(Plan& plan) {
    for (std::size_t i = 0; i < plan.inputs(); ++i) {
      void* to = plan.input_dtype(i) == Dtype::f32 ? static_cast<void*>(plan.input<float>(i).data())
                                                   : static_cast<void*>(plan.input<std::int8_t>(i).data());
      all_.emplace_back(to, random_bytes(plan.input_dtype(i), plan.input_shape(i).size(), i));
    }
  }
  void write() const {
    for (const auto& [to, bytes] : all_) std::memcpy(to, bytes.data(), bytes.size());
  }

 private:
  std::vector<std::pair<void*, std::vector<std::byte>>> all_;
};

double peak_of(Dtype dtype) {
  if (dtype == Dtype::f32) return bench::peak_f32();
  return dtype == Dtype::i16 ? bench::peak_i16() : bench::peak_i8();
}

/// What a run does, and its share of the peak.
void report(benchmark::State& state, std::int64_t flops, Dtype dtype) {
  using benchmark::Counter;
  if (flops == 0) return;
  const double billions = static_cast<double>(flops) * 1e-9, peak = peak_of(dtype);
  state.counters["GOP/s"] = Counter(billions, Counter::kIsIterationInvariantRate);
  if (peak > 0) state.counters["peak%"] = Counter(100 * billions / peak, Counter::kIsIterationInvariantRate);
}

std::int64_t flops_of(const Plan& plan) {
  std::int64_t flops = 0;
  for (const auto& step : plan.steps()) flops += step.flops;
  return flops;
}

void run_onednn(benchmark::State& state, const Graph& graph) {
  const lathe::kernels::onednn::SingleThreaded scope;
  const bench::OneDnnLayer layer = bench::onednn_layer(graph);
  const Dtype dtype = graph.value(graph.inputs()[0]).dtype;
  const std::vector<std::byte> input =
      random_bytes(dtype, static_cast<std::int64_t>(layer.input.size() / lathe::size_of(dtype)), 0);
  for ([[maybe_unused]] auto _ : state) {
    std::memcpy(layer.input.data(), input.data(), input.size());
    layer.run();
    benchmark::ClobberMemory();
  }
  report(state, flops_of(Plan(graph)), dtype);
}

void run_plan(benchmark::State& state, const Graph& graph, Level level, Dtype dtype) {
  Plan plan(graph, {.level = level});
  const Inputs inputs(plan);
  for ([[maybe_unused]] auto _ : state) {
    inputs.write();
    plan.run();
    benchmark::ClobberMemory();
  }
  if (plan.steps().size() == 1) state.SetLabel(plan.steps()[0].kernel);
  report(state, flops_of(plan), dtype);
  if (flops_of(plan) == 0 && plan.steps().size() == 1) {
    std::int64_t bytes = 0;
    const auto add = [&](ValueId id) {
      const Value& value = graph.value(id);
      bytes += value.shape.size() * static_cast<std::int64_t>(lathe::size_of(value.dtype));
    };
    for (const ValueId id : graph.inputs()) add(id);
    add(graph.outputs()[0]);
    state.counters["GB/s"] =
        benchmark::Counter(static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
  }
}

/// A single op on an image (i16: with the quantization of its f32 input and output).
struct Single {
  const char* name;
  std::function<ValueId(Maker&, ValueId)> make;
  Shape input;
};

std::vector<Single> singles() {
  const auto layer = [](Op op, Shape weight) {
    return [=](Maker& maker, ValueId x) { return maker.weighted(op, x, weight); };
  };
  const auto relu = Activation::relu;
  const auto depthwise = [&](int stride, int channels) {
    return Conv2d{stride, stride, Padding::same(), channels, relu};
  };
  const auto pair = [](Op op, Shape second) {
    return [=](Maker& maker, ValueId x) {
      const Dtype dtype = maker.graph().value(x).dtype;
      if (dtype == Dtype::f32 || !maker.graph().value(x).quantization)
        return maker.node(op, {x, maker.input(second)}, "pair");
      const ValueId y = maker.input(second, dtype, codes(0.03f, 20));
      return maker.node(op, {x, y}, "pair", codes(0.06f, 4));
    };
  };
  const auto unary = [](Op op, Quantization out) {
    return [=](Maker& maker, ValueId x) {
      const bool real = maker.graph().value(x).dtype == Dtype::f32;
      return maker.node(op, {x}, "unary", real ? std::nullopt : std::optional(out));
    };
  };
  return {
      {"conv3x3_28x28x1_32", layer(Conv2d{.activation = relu}, {32, 3, 3, 1}), {1, 28, 28, 1}},
      {"conv3x3_13x13x32_64", layer(Conv2d{.activation = relu}, {64, 3, 3, 32}), {1, 13, 13, 32}},
      {"conv3x3s2_28x28x1_12", layer(Conv2d{2, 2, Padding::same(), 1, relu}, {12, 3, 3, 1}), {1, 28, 28, 1}},
      {"conv3x3s2_224x224x3_32",
       layer(Conv2d{2, 2, Padding::same(), 1, relu}, {32, 3, 3, 3}),
       {1, 224, 224, 3}},
      {"conv1x1_14x14x12_16", layer(Conv2d{.activation = relu}, {16, 1, 1, 12}), {1, 14, 14, 12}},
      {"conv1x1_28x28x240_40", layer(Conv2d{.activation = relu}, {40, 1, 1, 240}), {1, 28, 28, 240}},
      {"conv1x1_7x7x1152_192", layer(Conv2d{.activation = relu}, {192, 1, 1, 1152}), {1, 7, 7, 1152}},
      {"conv1x1_112x112x32_16", layer(Conv2d{}, {16, 1, 1, 32}), {1, 112, 112, 32}},
      {"conv1x1_56x56x24_144", layer(Conv2d{.activation = relu}, {144, 1, 1, 24}), {1, 56, 56, 24}},
      {"conv1x1_14x14x96_576", layer(Conv2d{.activation = relu}, {576, 1, 1, 96}), {1, 14, 14, 96}},
      {"conv1x1_7x7x320_1280", layer(Conv2d{.activation = relu}, {1280, 1, 1, 320}), {1, 7, 7, 320}},
      {"depthwise3x3_14x14x12", layer(depthwise(1, 12), {12, 3, 3, 1}), {1, 14, 14, 12}},
      {"depthwise3x3s2_14x14x16", layer(depthwise(2, 16), {16, 3, 3, 1}), {1, 14, 14, 16}},
      {"depthwise3x3_112x112x32", layer(depthwise(1, 32), {32, 3, 3, 1}), {1, 112, 112, 32}},
      {"depthwise3x3s2_112x112x96", layer(depthwise(2, 96), {96, 3, 3, 1}), {1, 112, 112, 96}},
      {"depthwise3x3_56x56x144", layer(depthwise(1, 144), {144, 3, 3, 1}), {1, 56, 56, 144}},
      {"depthwise3x3_7x7x960", layer(depthwise(1, 960), {960, 3, 3, 1}), {1, 7, 7, 960}},
      {"depthwise5x5s2_28x28x240", layer(depthwise(2, 240), {240, 5, 5, 1}), {1, 28, 28, 240}},
      {"depthwise5x5_14x14x480", layer(depthwise(1, 480), {480, 5, 5, 1}), {1, 14, 14, 480}},
      {"linear_1600_10", layer(Linear{}, {10, 1600}), {1, 1600}},
      {"linear_1280_512", layer(Linear{}, {512, 1280}), {1, 1280}},
      {"max_pool2_26x26x32",
       [](Maker& maker, ValueId x) { return maker.node(MaxPool2d{}, {x}); },
       {1, 26, 26, 32}},
      {"avg_pool2_56x56x64",
       [](Maker& maker, ValueId x) { return maker.node(AvgPool2d{}, {x}); },
       {1, 56, 56, 64}},
      {"add_56x56x24", pair(Add{}, {1, 56, 56, 24}), {1, 56, 56, 24}},
      {"multiply_28x28x240_channels", pair(Multiply{}, {1, 240}), {1, 28, 28, 240}},
      {"silu_56x56x144", unary(Activate{Activation::silu}, codes(0.02f, -100)), {1, 56, 56, 144}},
      {"sigmoid_1x1x240", unary(Activate{Activation::sigmoid}, {{1.f / 256}, -128}), {1, 1, 1, 240}},
      {"softmax_1000", unary(Softmax{}, {{1.f / 256}, -128}), {1, 1000}},
      {"global_avg_pool_7x7x24",
       [](Maker& maker, ValueId x) {
         const bool real = maker.graph().value(x).dtype == Dtype::f32;
         return maker.node(GlobalAvgPool{}, {x}, "pool",
                           real ? std::nullopt : std::optional(codes(0.02f, 3)));
       },
       {1, 7, 7, 24}},
      {"relu_112x112x32",
       [](Maker& maker, ValueId x) {
         const bool real = maker.graph().value(x).dtype == Dtype::f32;
         return maker.node(Activate{}, {x}, "relu", real ? std::nullopt : std::optional(codes(0.02f, -128)));
       },
       {1, 112, 112, 32}},
  };
}

Graph single(const Single& one, Dtype dtype) {
  Maker maker(7);
  const ValueId x = dtype == Dtype::f32 ? maker.input(one.input) : maker.input(one.input, dtype, codes());
  return maker.finish(one.make(maker, x));
}

void register_all() {
  std::vector<Level> levels = {Level::reference};
  for (const Level level : fast_levels()) levels.push_back(level);
  const std::pair<const char*, Graph (*)(Dtype)> models[] = {
      {"tutorial", tutorial}, {"conv", conv}, {"dscnn", dscnn}};
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    const std::string type = fmt::format("/{}/", to_string(dtype));
    for (const Level level : levels) {
      const std::string end = type + std::string(to_string(level));
      for (const auto& model : models)
        benchmark::RegisterBenchmark(("plan/" + (model.first + end)).c_str(), [=](benchmark::State& state) {
          run_plan(state, model.second(dtype), level, dtype);
        });
      for (const Single& one : singles())
        benchmark::RegisterBenchmark(("kernel/" + (one.name + end)).c_str(), [=](benchmark::State& state) {
          run_plan(state, single(one, dtype), level, dtype);
        });
    }
    for (const Single& one : singles())
      if (bench::onednn_layer(single(one, dtype)).run)
        benchmark::RegisterBenchmark(("kernel/" + (one.name + type) + "oneDNN").c_str(),
                                     [=](benchmark::State& state) { run_onednn(state, single(one, dtype)); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  register_all();
  bench::print_peaks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
