#include "graphs.h"

#include "support/threads.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

// The program's own malloc family, so that allocations of any kind in run() are counted. Sanitizers bring
// their own.
#if defined(__SANITIZE_ADDRESS__)
#define LATHE_COUNTS_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LATHE_COUNTS_ALLOCATIONS 0
#endif
#endif
#ifndef LATHE_COUNTS_ALLOCATIONS
#define LATHE_COUNTS_ALLOCATIONS 1
#endif

#if LATHE_COUNTS_ALLOCATIONS

namespace {
std::atomic<long> allocations{0};
}

extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  ++allocations;
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
}

namespace {

using lathe::Dtype;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::Sparsity;
using lathe::runtime::Strips;

/// Allocations of two runs, the first ones of the plan.
long allocated_by_runs(Plan& plan) {
  std::vector<std::int64_t> ns(plan.steps().size());
  const long before = allocations;
  plan.run();
  plan.run_timed(ns);
  return allocations - before;
}

std::vector<Level> all_levels() {
  auto levels = graphs::fast_levels();
  levels.push_back(Level::reference);
  return levels;
}

}  // namespace

TEST_CASE("the counter of allocations counts") {
  const long before = allocations;
  void* volatile counted =
      std::malloc(10);  // volatile: a compiler may leave out allocations that nobody looks at
  std::free(counted);
  CHECK(allocations == before + 1);
}

TEST_CASE("run allocates nothing, at any level") {
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    for (const auto& graph : {graphs::tutorial(dtype), graphs::conv(dtype), graphs::dscnn(dtype)}) {
      for (const Level level : all_levels()) {
        CAPTURE(to_string(dtype));
        CAPTURE(to_string(level));
        Plan plan(graph, {.level = level});
        CHECK(allocated_by_runs(plan) == 0);
      }
    }
  }
}

TEST_CASE("nor does it with sparse weights, halves or a dynamic range") {
  using namespace lathe::graph;
  graphs::Maker maker(1);
  const ValueId x = maker.input({1, 9, 7, 24});
  const Graph dynamic =
      maker.finish(maker.node(Conv2d{}, {x, maker.weight_i8("layer.weight", {40, 3, 3, 24})}));
  const Graph dense = graphs::large(Dtype::f32);
  const Graph zeros = graphs::pruned(graphs::one_layer(Dtype::f32, Linear{}, {1, 333}, {37, 333}), 1);
  const struct {
    const char* kernel;
    Graph graph;
    Sparsity sparsity;
    Level lowest = Level::portable;  ///< that has the kernel
  } kCases[] = {{"dynamic_", dynamic, Sparsity::never},
                {"sparse_", graphs::pruned(dense, 0.9), Sparsity::always},
                {"block_sparse_", graphs::pruned_blocks(dense, 0.9), Sparsity::always},
                {"half_", zeros, Sparsity::never, Level::avx2}};  // 0 is exact in half precision
  for (const auto& one : kCases) {
    CAPTURE(one.kernel);
    bool used = false;
    for (const Level level : all_levels()) {
      CAPTURE(to_string(level));
      Plan plan(one.graph, {.level = level, .sparsity = one.sparsity});
      for (const auto& step : plan.steps()) used = used || step.kernel.find(one.kernel) != std::string::npos;
      CHECK(allocated_by_runs(plan) == 0);
    }
    CHECK(used == (lathe::runtime::best_level() >= one.lowest));
  }
}

TEST_CASE("nor does it on several threads, in strips or not") {
  const Threads threads(2);
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    const auto graph = graphs::large(dtype);
    for (const Level level : all_levels()) {
      CAPTURE(to_string(dtype));
      CAPTURE(to_string(level));
      for (const Strips strips : {Strips::never, Strips::always}) {
        Plan plan(graph, {.batch = 5, .level = level, .strips = strips, .threads = 2});
        CHECK(std::ranges::any_of(plan.steps(), [](const auto& step) { return step.threads == 2; }));
        CHECK(std::ranges::any_of(plan.steps(), [](const auto& step) { return step.strip > 0; }) ==
              (strips == Strips::always));
        CHECK(allocated_by_runs(plan) == 0);
      }
    }
  }
}

#endif
