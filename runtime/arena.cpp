#include "arena.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace lathe::runtime {

namespace {

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + ArenaPlanner::kAlignment - 1) / ArenaPlanner::kAlignment * ArenaPlanner::kAlignment;
}

bool meet(const ArenaPlanner::Buffer& a, const ArenaPlanner::Buffer& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

int ArenaPlanner::add(std::int64_t bytes, int first, int last) {
  assert(bytes >= 0 && first <= last);
  buffers_.push_back({.bytes = bytes, .first = first, .last = last});
  return static_cast<int>(buffers_.size()) - 1;
}

void ArenaPlanner::extend(int index, int step) {
  Buffer& buffer = buffers_[static_cast<std::size_t>(index)];
  buffer.first = std::min(buffer.first, step);
  buffer.last = std::max(buffer.last, step);
}

void ArenaPlanner::place() {
  std::vector<std::size_t> order(buffers_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // Stable, so that equal sizes keep the order in which they were added and a plan is the same everywhere.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return buffers_[a].bytes > buffers_[b].bytes; });

  std::vector<const Buffer*> placed;  // by rising offset
  placed.reserve(buffers_.size());
  total_ = 0;
  for (const std::size_t index : order) {
    Buffer& buffer = buffers_[index];
    std::int64_t offset = 0;
    for (const Buffer* other : placed) {
      if (!meet(buffer, *other)) continue;
      if (offset + buffer.bytes <= other->offset) break;  // the gap before `other` is wide enough
      offset = std::max(offset, aligned(other->offset + other->bytes));
    }
    buffer.offset = offset;
    total_ = std::max(total_, aligned(offset + buffer.bytes));
    const auto at =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [](std::int64_t value, const Buffer* other) { return value < other->offset; });
    placed.insert(at, &buffer);
  }
}

bool sound(const std::vector<ArenaPlanner::Buffer>& buffers, std::int64_t total) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const auto& a = buffers[i];
    if (a.offset < 0 || a.offset % ArenaPlanner::kAlignment != 0 || a.offset + a.bytes > total) return false;
    for (std::size_t j = 0; j < i; ++j) {
      const auto& b = buffers[j];
      const bool together = std::max(a.first, b.first) <= std::min(a.last, b.last);
      const bool overlap = std::max(a.offset, b.offset) < std::min(a.offset + a.bytes, b.offset + b.bytes);
      if (together && overlap) return false;
    }
  }
  return true;
}

}  // namespace lathe::runtime
