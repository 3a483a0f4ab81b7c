#include "../../runtime/share.h"
#include "graphs.h"

#include "support/errors.h"
#include "support/threads.h"

#include <algorithm>

using namespace graphs;
using namespace lathe::graph;
using lathe::runtime::Level;
using lathe::runtime::Plan;
using lathe::runtime::share_steps;
using lathe::runtime::StepInfo;

namespace {

std::size_t shared_steps(const Plan& plan) {
  return static_cast<std::size_t>(
      std::ranges::count_if(plan.steps(), [](const StepInfo& step) { return step.threads > 1; }));
}

}  // namespace

TEST_CASE("a plan on several threads gives the bytes of one thread") {
  const Threads threads(3);
  for (const Dtype dtype : {Dtype::f32, Dtype::i8, Dtype::i16}) {
    const Graph graph = large(dtype);
    for (const Level level : {Level::reference, lathe::runtime::best_level()}) {
      CAPTURE(to_string(dtype));
      CAPTURE(to_string(level));
      const auto expected = run(graph, {.batch = 5, .level = level});
      Plan shared(graph, {.batch = 5, .level = level, .threads = 3});
      CHECK(shared_steps(shared) >= 3);
      for (int again = 0; again < 3; ++again)
        CHECK(run(graph, {.batch = 5, .level = level, .threads = 3}) == expected);
    }
  }
  const Graph sparse = pruned(large(Dtype::f32), 0.9);
  using lathe::runtime::Sparsity;
  CHECK(run(sparse, {.batch = 5, .sparsity = Sparsity::always, .threads = 3}) ==
        run(sparse, {.batch = 5, .sparsity = Sparsity::always}));
}

TEST_CASE("small networks stay on one thread, and no plan takes more than there are") {
  const Threads threads(2);
  CHECK(shared_steps(Plan(tutorial(Dtype::f32), {.threads = 2})) == 0);
  CHECK(shared_steps(Plan(conv(Dtype::i8), {.threads = 2})) == 0);
  const Plan plan(large(Dtype::f32), {.batch = 5, .threads = 200});
  for (const StepInfo& step : plan.steps()) CHECK(step.threads <= 2);
  CHECK_ERROR(Plan(tutorial(Dtype::f32), {.threads = 0}), "threads: 0 is out of range, expected 1..256");
  CHECK_ERROR(Plan(tutorial(Dtype::f32), {.threads = 257}), "threads: 257 is out of range, expected 1..256");
}

TEST_CASE("steps get as many threads as they have work and units for") {
  CHECK(share_steps({{100, 1e6}, {100, 4'000}, {2, 1e6}, {100, 16'000}, {0, 0}}, 4) ==
        std::vector<int>{4, 1, 2, 3, 1});
  CHECK(share_steps({{100, 1e6}}, 1) == std::vector<int>{1});
  CHECK(share_steps({{100, 50'000}, {100, 50'000}}, 2) == std::vector<int>{1, 1});  // 50 us to be won
  CHECK(share_steps({}, 2).empty());
}
