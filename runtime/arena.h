#pragma once

#include <cstdint>
#include <vector>

namespace lathe::runtime {

/// Places buffers with known lifetimes into one block of memory, so that buffers alive at the same time never
/// overlap. Greedy by size: the largest buffer first, each into the lowest gap that holds it (Pisarchyk & Lee
/// 2020, "Efficient memory management for deep neural net inference", section 5).
class ArenaPlanner {
 public:
  static constexpr std::int64_t kAlignment = 64;

  /// Adds a buffer that is alive from step `first` to step `last`, both included, and returns its index. A
  /// buffer that is computed in place is one buffer with a longer life. bytes >= 0, first <= last.
  int add(std::int64_t bytes, int first, int last);

  /// Makes the life of a buffer include the step.
  void extend(int index, int step);

  /// Places all buffers added so far. Call once, before offset() and total().
  void place();

  std::int64_t offset(int index) const { return buffers_[static_cast<std::size_t>(index)].offset; }
  std::int64_t total() const { return total_; }

  struct Buffer {
    std::int64_t bytes = 0;
    int first = 0;
    int last = 0;
    std::int64_t offset = -1;
  };
  const std::vector<Buffer>& buffers() const& { return buffers_; }

 private:
  std::vector<Buffer> buffers_;
  std::int64_t total_ = 0;
};

/// Is the placement sound: every buffer inside [0, total), aligned, and no two that live at a common step
/// share a byte? Written independently of the planner (compares all pairs).
bool sound(const std::vector<ArenaPlanner::Buffer>& buffers, std::int64_t total);

}  // namespace lathe::runtime
