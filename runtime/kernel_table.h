#pragma once

#include <lathe/graph/graph.h>
#include <lathe/runtime/plan.h>

#include "kernels/fast.h"
#include "kernels/kernel.h"
#include "store.h"

#include <span>
#include <string_view>

namespace lathe::runtime {

/// Where a kernel is wanted: one op with its operands, at the batch size of the plan.
struct Site {
  const graph::Graph& graph;
  const graph::Op& op;
  std::span<const graph::ValueId> inputs;
  graph::ValueId output = -1;
  std::span<const Shape> shapes;           ///< of all values
  std::size_t part = 0;                    ///< of a concat: which input this step copies
  const graph::MaxPool2d* pool = nullptr;  ///< over the op's output; then `output` is the pool's
  Sparsity sparsity = Sparsity::choose;
  const Blocking* blocking = nullptr;  ///< of the kernel that is asked; null for the reference
  Level level = Level::reference;      ///< likewise

  std::size_t size() const { return inputs.size(); }
  const graph::Value& input(std::size_t index) const { return graph.value(inputs[index]); }
  const Shape& input_shape(std::size_t index) const {
    return shapes[static_cast<std::size_t>(inputs[index])];
  }
  const graph::Value& result() const { return graph.value(output); }
  const Shape& output_shape() const { return shapes[static_cast<std::size_t>(output)]; }
};

/// What a kernel needs at run time.
struct Prepared {
  const void* params = nullptr;
  std::int64_t units = 0;  ///< range that covers the whole output
  std::int64_t scratch_bytes = 0;
};

/// Packs weights and fills parameters. Returns false when the kernel does not take this site (the next entry
/// is asked); throws Error when no kernel could.
using Prepare = bool (*)(const Site& site, Store& store, Prepared& prepared);

struct KernelEntry {
  std::size_t op = 0;  ///< index in graph::Op
  Dtype input = Dtype::f32;
  Dtype output = Dtype::f32;
  Level level = Level::reference;
  Prepare prepare = nullptr;
  Kernel run = nullptr;
  std::string_view name;
  const Blocking* blocking = nullptr;
  /// Takes a convolution with a maximum pool over its output.
  bool pooled = false;
  /// Takes an f32 input with an i8 weight.
  bool dynamic = false;
  /// Leaves out weights of 0.
  bool sparse = false;
  /// The output may be in the input's memory (of either, when there are two of its size).
  bool in_place = false;
};

/// All kernels; for one op and dtypes the best first.
std::span<const KernelEntry> kernel_table();

}  // namespace lathe::runtime
