#include "graphs.h"

#include <lathe/runtime/plan.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::Sparsity;

namespace {

void check_close(const std::vector<std::byte>& given, const std::vector<std::byte>& expected) {
  const auto a = floats(given), b = floats(expected);
  REQUIRE(a.size() == b.size());
  float largest = 1, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    difference = std::max(difference, std::abs(a[i] - b[i]));
  }
  CHECK(difference <= 2e-6f * largest);
}

/// Compares plans without zeros of every level with the reference; says whether all took such a kernel.
bool compare(const Graph& graph) {
  bool sparse = true;
  for (const std::int64_t batch : {1, 3}) {
    CAPTURE(batch);
    const auto expected = run(graph, {.batch = batch, .level = Level::reference});
    for (const Level level : fast_levels()) {
      CAPTURE(to_string(level));
      std::string kernels;
      check_close(run(graph, {.batch = batch, .level = level, .sparsity = Sparsity::always}, 1, &kernels),
                  expected);
      sparse = sparse && kernels.find("sparse_") != std::string::npos;
    }
  }
  return sparse;
}

Graph layer(const Op& op, const Shape& in, const Shape& weight, double zeros, bool pool = false,
            bool bias = true) {
  return pruned(one_layer(Dtype::f32, op, in, weight, pool, bias), zeros);
}

}  // namespace

TEST_CASE("convolutions that leave out blocks of zeros equal the reference for every kind of numbers") {
  const struct {
    Conv2d op;
    Shape in, weight;
    bool pool = false;
  } kCases[] = {
      {{.activation = Activation::relu}, {1, 9, 7, 64}, {40, 1, 1, 64}},
      {{.padding = Padding::same(), .activation = Activation::relu}, {1, 7, 11, 16}, {33, 3, 3, 16}},
      {{.stride_h = 2, .stride_w = 2, .padding = Padding::same()}, {1, 9, 8, 24}, {16, 3, 3, 24}},
      {{.groups = 2}, {1, 6, 7, 32}, {64, 3, 3, 16}},
      {{}, {1, 10, 12, 16}, {20, 3, 3, 16}, true},
      {{}, {1, 6, 6, 12}, {5, 5, 5, 12}},
  };
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    for (const double zeros : {0.7, 1.}) {
      for (const auto& one : kCases) {
        CAPTURE(to_string(dtype));
        CAPTURE(zeros);
        CAPTURE(lathe::graph::to_string(Op(one.op)));
        const Graph graph = pruned_blocks(one_layer(dtype, one.op, one.in, one.weight, one.pool), zeros);
        const auto expected = run(graph, {.batch = 2, .level = Level::reference});
        for (const Level level : fast_levels()) {
          CAPTURE(to_string(level));
          std::string kernels;
          const auto given = run(graph, {.batch = 2, .level = level}, 1, &kernels);
          CHECK(kernels.find("block_sparse_conv2d_") != std::string::npos);
          if (dtype == Dtype::f32)
            check_close(given, expected);
          else
            CHECK(given == expected);
          CHECK(run(graph, {.batch = 2, .level = level, .sparsity = Sparsity::never}) == given);
        }
      }
    }
  }
}

TEST_CASE("convolutions that leave out zeros equal the reference at every level") {
  for (const double zeros : {0.3, 0.8, 1.}) {
    CAPTURE(zeros);
    for (const int in : {1, 3, 16, 17, 40}) {
      for (const int out : {1, 5, 16, 33}) {
        CAPTURE(in);
        CAPTURE(out);
        CHECK(compare(layer(Conv2d{.activation = Activation::relu}, {1, 9, 7, in}, {out, 1, 1, in}, zeros)));
        CHECK(compare(layer(Conv2d{.padding = Padding::same(), .activation = Activation::relu6},
                            {1, 7, 18, in}, {out, 3, 3, in}, zeros, false, in % 2 == 0)));
        CHECK(compare(layer(Conv2d{}, {1, 10, 13, in}, {out, 3, 3, in}, zeros, true)));
      }
    }
    // More channels than one part holds, more rows than a strip, windows of other sizes.
    CHECK(compare(layer(Conv2d{}, {1, 14, 14, 300}, {20, 1, 1, 300}, zeros)));
    CHECK(compare(layer(Conv2d{.padding = Padding::same()}, {1, 23, 50, 20}, {18, 3, 3, 20}, zeros)));
    CHECK(compare(layer(Conv2d{.padding = Padding::symmetric(2)}, {1, 6, 33, 4}, {6, 5, 4, 4}, zeros)));
    CHECK(compare(layer(Conv2d{.padding = Padding::symmetric(1)}, {1, 5, 4, 8}, {16, 1, 1, 8}, zeros)));
    CHECK(compare(layer(Conv2d{.padding = Padding::same()}, {1, 26, 60, 9}, {18, 3, 3, 9}, zeros, true)));
    // Pooled to few pixels: sampled.
    CHECK(
        compare(layer(Conv2d{.activation = Activation::relu}, {1, 13, 13, 32}, {33, 3, 3, 32}, zeros, true)));
    CHECK(compare(layer(Conv2d{.padding = Padding::same()}, {1, 8, 9, 48}, {16, 5, 4, 48}, zeros, true)));
    CHECK(
        compare(layer(Conv2d{.padding = Padding::symmetric(1)}, {1, 7, 5, 16}, {5, 3, 3, 16}, zeros, true)));
    CHECK(compare(layer(Conv2d{}, {1, 2, 64, 16}, {17, 1, 1, 16}, zeros, true)));
  }
}

TEST_CASE("linear layers that leave out zeros equal the reference at every level") {
  for (const double zeros : {0.3, 0.9, 1.})
    for (const int in : {1, 15, 16, 200, 1600})
      for (const int out : {1, 10, 16, 33})
        CHECK(compare(layer(Linear{Activation::relu}, {1, in}, {out, in}, zeros, false, in != 15)));
}

TEST_CASE("kernels that leave out single zeros do not take strides and groups") {
  CHECK_FALSE(compare(layer(Conv2d{.stride_h = 2}, {1, 9, 7, 8}, {16, 3, 3, 8}, 0.5)));
  CHECK_FALSE(compare(layer(Conv2d{.groups = 2}, {1, 9, 7, 8}, {16, 3, 3, 4}, 0.5)));
}

TEST_CASE("a plan leaves out zeros where that is faster, and says so") {
  const auto steps = [](const Graph& graph, Sparsity sparsity, Level level) {
    const Plan plan(graph, {.level = level, .sparsity = sparsity});
    return plan.steps();
  };
  const Graph dense = conv(Dtype::f32), sparse = pruned(dense, 0.9);
  for (const Level level : fast_levels()) {
    CAPTURE(to_string(level));
    const auto any = [](const auto& all) {
      return std::ranges::any_of(all, [](auto& s) { return s.sparse; });
    };
    CHECK_FALSE(any(steps(dense, Sparsity::choose, level)));
    CHECK_FALSE(any(steps(sparse, Sparsity::never, level)));
    CHECK(any(steps(sparse, Sparsity::choose, level)) == (level >= Level::avx2));
  }
  const auto all = steps(sparse, Sparsity::choose, fast_levels().back());
  const auto second = std::ranges::find(all, "conv2", &lathe::runtime::StepInfo::name);
  REQUIRE(second != all.end());
  CHECK(second->zeros == doctest::Approx(0.9).epsilon(0.02));
  // Codes: no kernel leaves out single weights, the share of zeros is known all the same.
  const auto codes = steps(conv(Dtype::i8), Sparsity::always, fast_levels().back());
  CHECK(std::ranges::none_of(codes, [](auto& s) { return s.sparse; }));
  CHECK(std::ranges::any_of(codes, [](auto& s) { return s.zeros > 0 && s.zeros < 0.1; }));
}
