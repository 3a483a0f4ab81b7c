#pragma once

#include <lathe/runtime/plan.h>

#include <cstdint>
#include <vector>

/// Among how many threads the steps of a plan are shared. Kernels give the same bytes for any split, so this
/// decides on time only; it knows the graph and the level alone, so that a plan is the same from run to run.
namespace lathe::runtime {

/// The work of one step.
struct StepWork {
  std::int64_t units = 0;  ///< of the kernel's range: the finest split
  double nanoseconds = 0;  ///< on one thread, estimated
};

/// Rough: half or twice the time is as good. `bytes`: of all its inputs and its output.
double estimated_ns(std::int64_t flops, std::int64_t bytes, Dtype dtype, Level level);

/// Threads for each step, 1..threads. All 1 when the plan wins too little to be worth waking threads for.
std::vector<int> share_steps(const std::vector<StepWork>& steps, int threads);

}  // namespace lathe::runtime
