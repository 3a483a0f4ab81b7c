#pragma once

#include <lathe/graph/graph.h>
#include <lathe/runtime/plan.h>

#include "kernels/kernel.h"
#include "store.h"
#include "strips.h"

#include <string>
#include <vector>

namespace lathe::runtime {

/// A kernel call with everything resolved, or several that run together in strips of rows.
struct Step {
  Kernel kernel = nullptr;
  Call call;
  StripGroup group;  ///< then there is no kernel, and `call` has the scratch memory only
  Range range;
  int parts = 1;                    ///< of the range, each for a thread
  std::int64_t scratch_stride = 0;  ///< bytes from a part's scratch memory to the next one's
};

/// An input or output of the plan.
struct Port {
  std::string name;
  Shape shape;
  Dtype dtype = Dtype::f32;
  void* data = nullptr;
};

/// What a Plan consists of. Pointers in steps and ports point into arena, store and constants, none of which
/// move.
struct Program {
  std::vector<Step> steps;
  std::vector<StepInfo> infos;      ///< of each kernel call: one for a step, as many as it has for a group
  std::vector<const void*> places;  ///< likewise: where the output is; null in strips
  std::vector<Port> inputs, outputs;
  Memory arena;
  std::int64_t arena_bytes = 0;
  Store store;
  std::int64_t batch = 1;
  Level level = Level::reference;
};

/// Verifies the graph, chooses kernels, packs weights and places buffers. `available`: the highest level that
/// the processor runs. Throws Error naming the node.
Program build_program(const graph::Graph& graph, const PlanOptions& options, Level available);

}  // namespace lathe::runtime
