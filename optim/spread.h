#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace lathe::optim {

/// Several arrays counted through as one, so that work on them is cut evenly whatever their sizes are.
class Spread {
 public:
  void add(std::int64_t size) { starts_.push_back(starts_.back() + size); }
  std::int64_t total() const { return starts_.back(); }

  /// Calls visit(array, first element, size) for the pieces of arrays that lie in [begin, end).
  template <typename Visit>
  void pieces(std::int64_t begin, std::int64_t end, const Visit& visit) const {
    auto next = std::upper_bound(starts_.begin(), starts_.end(), begin);
    while (begin < end) {
      const std::int64_t stop = std::min(end, *next);
      const std::int64_t start = *(next - 1);
      if (stop > begin)
        visit(static_cast<std::size_t>(next - starts_.begin()) - 1, begin - start, stop - begin);
      begin = stop;
      ++next;
    }
  }

 private:
  std::vector<std::int64_t> starts_{0};
};

}  // namespace lathe::optim
