// Pruned layers with kernels that leave out zeros and with dense ones, in turns: nanoseconds, their ratio,
// and which a plan takes, "wrong" where that is the slower one. The numbers of runtime/sparse_cost.cpp are
// fitted to this table: least squares of the logarithms of the times.

#include "runtime/graphs.h"

#include <lathe/runtime/plan.h>

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

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

Graph graph_of(const Layer& layer, double zeros) {
  Maker maker(7);
  ValueId y = maker.weighted(layer.op, maker.input(layer.in), layer.weight);
  if (layer.pool) y = maker.node(MaxPool2d{}, {y});
  return pruned(maker.finish(y), zeros);
}

/// The least time of each, in nanoseconds.
std::pair<double, double> times(Plan& a, Plan& b) {
  const auto x = random_bytes(Dtype::f32, a.input_shape().size(), 3);
  double least[2] = {1e30, 1e30};
  const auto run = [&](Plan& plan, double& best, int count) {
    std::int64_t step = 0;
    for (int i = 0; i < count; ++i) {
      std::memcpy(plan.input<float>().data(), x.data(), x.size());
      step = 0;
      plan.run_timed({&step, 1});
      best = std::min(best, static_cast<double>(step));
    }
  };
  const std::clock_t begin = std::clock();  // processor time: others may have the core meanwhile
  while (std::clock() - begin < kTurns) {
    run(a, least[0], 5);
    run(b, least[1], 5);
  }
  return {least[0], least[1]};
}

}  // namespace

// sparse-bench [LEVEL]
int main(int argc, char** argv) {
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
    fmt::print("{}\n{:<28} {:>5} {:>9} {:>9} {:>6}  {}\n", to_string(level), "layer", "zeros", "dense",
               "sparse", "ratio", "the plan");
    for (const Layer& layer : layers) {
      for (const double zeros : {0.6, 0.8, 0.9}) {
        const Graph graph = graph_of(layer, zeros);
        Plan dense(graph, {.level = level, .sparsity = Sparsity::never}),
            sparse(graph, {.level = level, .sparsity = Sparsity::always});
        const bool taken = Plan(graph, {.level = level}).steps()[0].sparse;
        const auto [slow, fast] = times(dense, sparse);
        fmt::print("{:<28} {:>5.2f} {:>9.0f} {:>9.0f} {:>6.2f}  {}{}\n", layer.name, zeros, slow, fast,
                   slow / fast, taken ? "sparse" : "dense", taken != (fast < slow) ? " (wrong)" : "");
      }
    }
  }
}
