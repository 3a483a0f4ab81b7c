// Writing and reading model files in their smallest form; bytes per second are those of the constants in
// memory, the label has the bytes of the file.

#include <lathe/graph/model_file.h>

#include "graph/synthetic_models.h"

#include <benchmark/benchmark.h>

using namespace lathe;
using namespace lathe::graph;
using synthetic_models::Kind;

namespace {

/// Ten linear layers with 5 MB of weights.
Graph large(Kind kind) {
  synthetic_models::Maker maker(1);
  maker.handed_on(Reshape{{784}}, "flatten");
  maker.weighted(Linear{}, "first", {720, 784}, kind, false);
  for (int i = 1; i < 9; ++i) maker.weighted(Linear{}, "layer" + std::to_string(i), {720, 720}, kind, false);
  maker.weighted(Linear{}, "last", {10, 720}, kind, false);
  return maker.finish();
}

Graph model(std::int64_t number) {
  switch (number) {
    case 0:
      return synthetic_models::dscnn();
    case 1:
      return synthetic_models::conv(Kind::dense);
    case 2:
      return synthetic_models::conv(Kind::pruned_and_clustered);
    case 3:
      return large(Kind::dense);
    default:
      return large(Kind::pruned);
  }
}

std::int64_t constant_bytes(const Graph& graph) {
  std::int64_t bytes = 0;
  for (const Value& value : graph.values())
    if (value.is_constant()) bytes += static_cast<std::int64_t>(value.data->bytes().size());
  return bytes;
}

/// range(0): the model; range(1): plain.
void read(benchmark::State& state) {
  const Graph graph = model(state.range(0));
  const auto form = state.range(1) != 0 ? EncodeOptions::Form::plain : EncodeOptions::Form::smallest;
  const std::vector<std::byte> bytes = encode(graph, {.form = form});
  for (auto _ : state) benchmark::DoNotOptimize(decode(bytes, "m"));
  state.SetBytesProcessed(state.iterations() * constant_bytes(graph));
  state.SetLabel(std::to_string(bytes.size()));
}

void write(benchmark::State& state) {
  const Graph graph = model(state.range(0));
  std::size_t bytes = 0;
  for (auto _ : state) bytes = encode(graph).size();
  state.SetBytesProcessed(state.iterations() * constant_bytes(graph));
  state.SetLabel(std::to_string(bytes));
}

}  // namespace

BENCHMARK(read)
    ->ArgNames({"model", "plain"})
    ->ArgsProduct({{0, 1, 2, 3, 4}, {0, 1}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(write)->ArgName("model")->DenseRange(0, 4)->Unit(benchmark::kMillisecond);

BENCHMARK_MAIN();
