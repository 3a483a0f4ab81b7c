#include "../core/kernels/simd/simd.h"
#include "peak.h"
#include "support/op_cases.h"

#include <lathe/base/parallel.h>
#include <lathe/core/autograd.h>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

/// The op cases of the tests, each under its name: /forward and /backward of the operation, /plain for both
/// by plain loops (small cases). The label is the level of the kernels, LATHE_LEVEL=0..2 in the environment
/// forces a lower one. peak% is the share of what the cores in use can do (peak.h).
///   ops_bench --benchmark_filter='conv2d/conv_2'
namespace lathe {
namespace {

using testing::op_cases;
using testing::OpCase;

constexpr std::uint64_t kSeed = 1;

/// The inputs as leaves with gradients where the case has them.
std::vector<Tensor> leaves(const OpCase& c) {
  Rng rng(kSeed, hash_bits(c.name));
  std::vector<Tensor> inputs = c.inputs(rng);
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if ((c.constants >> i & 1) == 0 && inputs[i].dtype() == Dtype::f32) inputs[i].set_requires_grad(true);
  return inputs;
}

/// How often the work of one forward pass is done: an op with two differentiable factors multiplies twice
/// backward.
void report(benchmark::State& state, const OpCase& c, double passes, std::int64_t samples) {
  const auto runs = static_cast<double>(state.iterations());
  if (c.flops > 0) {
    const double flops = passes * c.flops * runs, threads = static_cast<double>(lathe::num_threads());
    state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
    state.counters["peak%"] =
        benchmark::Counter(100 * flops * 1e-9 / (threads * bench::peak_f32()), benchmark::Counter::kIsRate);
  }
  state.SetItemsProcessed(state.iterations() * samples);
  state.SetLabel(kernels::simd::simd().level);
}

std::int64_t samples(const std::vector<Tensor>& inputs) {
  return inputs[0].shape().rank() > 0 ? inputs[0].shape()[0] : 1;
}

void forward(benchmark::State& state, const OpCase& c) {
  set_num_threads(static_cast<int>(state.range(0)));
  const std::vector<Tensor> inputs = leaves(c);
  for (auto _ : state) benchmark::DoNotOptimize(c.run(inputs));
  report(state, c, 1, samples(inputs));
}

/// The backward pass alone; the forward pass before each is not timed.
void backward(benchmark::State& state, const OpCase& c) {
  set_num_threads(static_cast<int>(state.range(0)));
  std::vector<Tensor> inputs = leaves(c);
  Rng rng(kSeed);
  const Tensor grad = testing::uniform(c.run(inputs).shape(), rng);
  for (auto _ : state) {
    const Tensor y = c.run(inputs);
    for (Tensor& input : inputs)
      if (input.requires_grad()) input.clear_grad();
    const auto start = std::chrono::steady_clock::now();
    y.backward(grad);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    state.SetIterationTime(seconds.count());
  }
  int factors = 0;
  for (std::size_t i = 0; i < inputs.size() && i < 2; ++i) factors += inputs[i].requires_grad() ? 1 : 0;
  report(state, c, factors, samples(inputs));
}

void plain(benchmark::State& state, const OpCase& c) {
  const std::vector<Tensor> inputs = leaves(c);
  Rng rng(kSeed);
  const NoGrad no_grad;
  const Tensor grad = testing::uniform(c.run(inputs).shape(), rng);
  for (auto _ : state) benchmark::DoNotOptimize(c.plain(inputs, grad));
  report(state, c, 3, samples(inputs));
  state.SetLabel("plain");
}

void add(const std::string& name, void (*run)(benchmark::State&, const OpCase&), const OpCase& c,
         bool manual) {
  const auto body = [run, &c](benchmark::State& state) { run(state, c); };
  benchmark::internal::Benchmark* b = benchmark::RegisterBenchmark((c.name + "/" + name).c_str(), body);
  // The best of --benchmark_repetitions says most on a machine that others use, too.
  b->ComputeStatistics("best",
                       [](const std::vector<double>& times) { return *std::ranges::min_element(times); });
  b->Unit(benchmark::kMicrosecond)->ArgName("threads")->Arg(1);
  if (c.large) b->Arg(2);
  if (manual)
    b->UseManualTime();
  else
    b->UseRealTime();
}

}  // namespace
}  // namespace lathe

int main(int argc, char** argv) {
  if (const char* level = std::getenv("LATHE_LEVEL")) {
    const int number = std::atoi(level);
    if (lathe::kernels::simd::kernels_of_level(number) != nullptr) lathe::kernels::simd::use_level(number);
  }
  for (const lathe::OpCase& c : lathe::op_cases()) {
    lathe::add("forward", lathe::forward, c, false);
    lathe::add("backward", lathe::backward, c, true);
    if (!c.large) lathe::add("plain", lathe::plain, c, false);
  }
  bench::print_peaks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
