#include "graphs.h"

#include <doctest/doctest.h>

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

TEST_CASE("run allocates nothing, at any level") {
  const long before_counted = allocations;
  void* volatile counted =
      std::malloc(10);  // volatile: a compiler may leave out allocations that nobody looks at
  std::free(counted);
  REQUIRE(allocations == before_counted + 1);  // the counter works
  auto levels = graphs::fast_levels();
  levels.push_back(lathe::runtime::Level::reference);
  for (const lathe::Dtype dtype : {lathe::Dtype::f32, lathe::Dtype::i8, lathe::Dtype::i16}) {
    for (const auto& graph : {graphs::tutorial(dtype), graphs::conv(dtype), graphs::dscnn(dtype)}) {
      for (const auto level : levels) {
        lathe::runtime::Plan plan(graph, {.level = level});
        std::vector<std::int64_t> ns(plan.steps().size());
        const long before = allocations;
        plan.run();
        plan.run_timed(ns);
        CHECK(allocations == before);
      }
    }
  }
}

#endif
