// Pruned layers with kernels that leave out zeros and with dense ones, in turns: nanoseconds, their ratio,
// and which a plan takes, "wrong" where that is the slower one. The numbers of runtime/sparse_cost.cpp are
// fitted to this table: least squares of the logarithms of the times.

#include "runtime/graphs.h"

#include <lathe/runtime/plan.h>

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <span>
#include <string_view>
#include <vector>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::Sparsity;

namespace {

constexpr std::clock_t kTurns = CLOCKS_PER_SEC / 40;

struct Layer {
  const char* name;
  Op op;
  Shape in, weight;
  bool pool = false;
};

/// What is 0: single weights, or blocks of them.
struct Kind {
  Dtype dtype;
  bool blocks;
  const char* name;
};
constexpr Kind kKinds[] = {{Dtype::f32, false, "f32"},
                           {Dtype::f32, true, "f32 blocks"},
                           {Dtype::i8, true, "i8 blocks"},
                           {Dtype::i16, true, "i16 blocks"}};

Graph graph_of(const Layer& layer, const Kind& kind, double zeros) {
  Graph graph = one_layer(kind.dtype, layer.op, layer.in, layer.weight, layer.pool);
  return kind.blocks ? pruned_blocks(std::move(graph), zeros) : pruned(std::move(graph), zeros);
}

/// The step of the layer: 16-bit codes are made of floats first.
std::size_t step_of(const Kind& kind) { return kind.dtype == Dtype::i16 ? 1 : 0; }

/// The least time of each, in nanoseconds.
std::pair<double, double> times(Plan& a, Plan& b, std::size_t layer) {
  const auto x = random_bytes(a.input_dtype(), a.input_shape().size(), 3);
  double least[2] = {1e30, 1e30};
  const auto run = [&](Plan& plan, double& best, int count) {
    std::vector<std::int64_t> steps(layer + 1);
    void* const input = a.input_dtype() == Dtype::f32 ? static_cast<void*>(plan.input<float>().data())
                                                      : static_cast<void*>(plan.input<std::int8_t>().data());
    for (int i = 0; i < count; ++i) {
      std::memcpy(input, x.data(), x.size());
      std::ranges::fill(steps, 0);
      plan.run_timed(steps);
      best = std::min(best, static_cast<double>(steps[layer]));
    }
  };
  const std::clock_t begin = std::clock();  // processor time: others may have the core meanwhile
  while (std::clock() - begin < kTurns) {
    run(a, least[0], 5);
    run(b, least[1], 5);
  }
  return {least[0], least[1]};
}

/// The exit code when the program cannot do what it was told; 0: it can.
int check_arguments(std::span<char*> words) {
  constexpr int kSkipped = 77;  // to Meson
  std::vector<std::string_view> levels, kinds;
  for (const Level level : {Level::portable, Level::avx2, Level::avx512}) levels.push_back(to_string(level));
  for (const Kind& kind : kKinds) kinds.push_back(kind.name);
  const auto unknown = [&](std::size_t i, const auto& names) {
    return i < words.size() && std::ranges::find(names, words[i]) == names.end();
  };
  if (words.size() > 2 || unknown(0, levels) || unknown(1, kinds)) {
    fmt::print(stderr, "usage: sparse-bench [LEVEL [KIND]], with a level of {} and a kind of {}\n",
               fmt::join(levels, ", "), fmt::join(kinds, ", "));
    return 2;
  }
  const auto given = [&](Level level) { return to_string(level) == words[0]; };
  if (words.empty() || std::ranges::any_of(fast_levels(), given)) return 0;
  fmt::print(stderr, "sparse-bench: this processor does not have {}\n", words[0]);
  return kSkipped;
}

}  // namespace

int main(int argc, char** argv) {
  if (const int code = check_arguments(std::span(argv, static_cast<std::size_t>(argc)).subspan(1)); code != 0)
    return code;
  const auto same = Padding::same();
  const Layer layers[] = {
      {"conv 3x3 13x13x32 64 pooled",
       Conv2d{.activation = Activation::relu},
       {1, 13, 13, 32},
       {64, 3, 3, 32},
       true},
      {"conv 3x3 28x28x1 32 pooled",
       Conv2d{.activation = Activation::relu},
       {1, 28, 28, 1},
       {32, 3, 3, 1},
       true},
      {"conv 3x3 10x14x64 48 pooled",
       Conv2d{.activation = Activation::relu},
       {1, 10, 14, 64},
       {48, 3, 3, 64},
       true},
      {"conv 5x5 14x14x16 32 pooled",
       Conv2d{.activation = Activation::relu},
       {1, 14, 14, 16},
       {32, 5, 5, 16},
       true},
      {"conv 3x3 14x14x64 64", Conv2d{.padding = same}, {1, 14, 14, 64}, {64, 3, 3, 64}},
      {"conv 3x3 28x28x128 32", Conv2d{.padding = same}, {1, 28, 28, 128}, {32, 3, 3, 128}},
      {"conv 3x3 56x56x24 24", Conv2d{.padding = same}, {1, 56, 56, 24}, {24, 3, 3, 24}},
      {"conv 1x1 14x14x12 16", Conv2d{}, {1, 14, 14, 12}, {16, 1, 1, 12}},
      {"conv 1x1 112x112x32 16", Conv2d{}, {1, 112, 112, 32}, {16, 1, 1, 32}},
      {"conv 1x1 56x56x24 144", Conv2d{}, {1, 56, 56, 24}, {144, 1, 1, 24}},
      {"conv 1x1 28x28x240 40", Conv2d{}, {1, 28, 28, 240}, {40, 1, 1, 240}},
      {"conv 1x1 14x14x112 672", Conv2d{}, {1, 14, 14, 112}, {672, 1, 1, 112}},
      {"conv 1x1 14x14x672 112", Conv2d{}, {1, 14, 14, 672}, {112, 1, 1, 672}},
      {"conv 1x1 7x7x1152 192", Conv2d{}, {1, 7, 7, 1152}, {192, 1, 1, 1152}},
      {"conv 1x1 7x7x320 1280", Conv2d{}, {1, 7, 7, 320}, {1280, 1, 1, 320}},
      {"linear 1600 10", Linear{}, {1, 1600}, {10, 1600}},
      {"linear 2028 10", Linear{}, {1, 2028}, {10, 2028}},
      {"linear 512 64", Linear{}, {1, 512}, {64, 512}},
      {"linear 1152 48", Linear{}, {1, 1152}, {48, 1152}},
      {"linear 1280 512", Linear{}, {1, 1280}, {512, 1280}},
  };
  for (const Level level : fast_levels()) {
    if (argc > 1 && to_string(level) != argv[1]) continue;
    fmt::print("{}\n{:<11} {:<28} {:>5} {:>9} {:>9} {:>6}  {}\n", to_string(level), "weights", "layer",
               "zeros", "dense", "sparse", "ratio", "the plan");
    for (const Kind& kind : kKinds) {
      if (argc > 2 && kind.name != std::string_view(argv[2])) continue;
      for (const Layer& layer : layers) {
        if (kind.blocks && std::holds_alternative<Linear>(layer.op)) continue;  // no such kernel
        for (const double zeros : {0.5, 0.6, 0.8, 0.9}) {
          const Graph graph = graph_of(layer, kind, zeros);
          Plan dense(graph, {.level = level, .sparsity = Sparsity::never}),
              sparse(graph, {.level = level, .sparsity = Sparsity::always});
          const bool taken = Plan(graph, {.level = level}).steps()[step_of(kind)].sparse;
          const auto [slow, fast] = times(dense, sparse, step_of(kind));
          fmt::print("{:<11} {:<28} {:>5.2f} {:>9.0f} {:>9.0f} {:>6.2f}  {}{}\n", kind.name, layer.name,
                     zeros, slow, fast, slow / fast, taken ? "sparse" : "dense",
                     taken != (fast < slow) ? " (wrong)" : "");
        }
      }
    }
  }
}
