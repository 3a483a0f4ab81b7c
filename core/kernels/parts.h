#pragma once

#include <lathe/base/parallel.h>

#include <algorithm>
#include <cstdint>

namespace lathe::kernels {

/// A batch split over the threads: part p works on [begin(p), end(p)) with buffers of its own, and sums over
/// the batch are added up in the order of the parts, so that the same number of threads gives the same bytes.
struct Parts {
  explicit Parts(std::int64_t batch)
      : n(batch),
        count(std::max<std::int64_t>(1, std::min<std::int64_t>(batch, num_threads()))),
        step((n + count - 1) / count) {
    count = (n + step - 1) / step;
  }
  std::int64_t begin(std::int64_t part) const { return part * step; }
  std::int64_t end(std::int64_t part) const { return std::min(n, (part + 1) * step); }

  /// Calls f(part) for each part, each on its thread.
  template <typename F>
  void run(F&& f) const {
    parallel_for(count, 1, [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t part = from; part < to; ++part) f(part);
    });
  }

  std::int64_t n;
  std::int64_t count;
  std::int64_t step;
};

}  // namespace lathe::kernels
