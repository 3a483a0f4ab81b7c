#pragma once

#include "kernels/kernel.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Consecutive steps that work row by row (convolutions, activations, sums) run together in strips of rows:
/// what one leaves for the next is in the second-level cache when it is read, and has a few rows of memory
/// instead of a whole image.
namespace lathe::runtime {

/// The rows of the step before that an output row reads: `kernel` rows from `row * stride - pad` on.
struct RowWindow {
  std::int64_t kernel = 1, stride = 1, pad = 0;
};

/// A step as far as strips go.
struct RowStep {
  bool by_rows = false;  ///< output [N,H,W,C], and the kernel's units are in the order of its rows
  bool follows = false;  ///< reads what the step before writes, which nothing else reads
  bool elementwise = false;
  bool restages = false;  ///< copies the rows it reads first, those that two strips read twice
  RowWindow window;
  std::int64_t in_rows = 1, out_rows = 1;  ///< of an image
  std::int64_t row_bytes = 0;              ///< of an output row
  std::int64_t bytes = 0;                  ///< of all output rows
  std::int64_t scratch_bytes = 0;
};

/// Which steps run together: the number of steps of each group, groups of one included. `always`: whatever is
/// possible.
std::vector<int> group_steps(std::span<const RowStep> steps, bool always);

/// One step of a group.
struct StripStep {
  Kernel kernel = nullptr;
  Call call;  ///< its pointers: see the flags
  RowStep rows;
  std::int64_t units_per_row = 1;
  bool strip_second = false;  ///< of the two operands the second is what the step before left
  std::int64_t input_step = 0, second_step = 0,
               output_step = 0;  ///< bytes between images of what lies in the arena
  std::int64_t buffer = 0;       ///< of all but the last: its rows in the scratch memory
  std::int64_t capacity = 0;     ///< rows there
  bool in_place = false;         ///< in the rows of the step before
};

struct StripGroup {
  std::vector<StripStep> steps;
  std::int64_t strip = 1;           ///< rows of the last step that are made together
  std::int64_t scratch_bytes = 0;   ///< the rows, then what kernels need
  std::int64_t kernel_scratch = 0;  ///< where the latter begins
};

/// Chooses the height of strips and places rows in the scratch memory.
void place_strips(StripGroup& group);

constexpr int kMostStripSteps = 8;

/// Makes rows [rows.begin, rows.end) of the last step's images. Adds the nanoseconds of each step to
/// `step_ns` unless it is null.
void run_strips(const StripGroup& group, Range rows, std::byte* scratch, std::int64_t* step_ns) noexcept;

}  // namespace lathe::runtime
