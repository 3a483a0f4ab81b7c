#include "share.h"

#include <algorithm>

namespace lathe::runtime {

namespace {

/// A part that takes less is not worth the 0.3 us in which a step is handed out and collected, and the lines
/// of cache that change cores.
constexpr double kLeastPart = 5'000;
/// Threads that have gone to sleep between two runs take some 50 us to wake: a plan that wins less than that
/// could be slower than on one thread.
constexpr double kLeastWin = 100'000;

struct Speed {
  double products;  ///< multiplications and additions in a nanosecond, in the layers of the bundled networks
  double bytes;     ///< moved in a nanosecond
};

Speed speed_of(Dtype dtype, Level level) {
  const bool real = dtype == Dtype::f32, wide = dtype == Dtype::i16;
  switch (level) {
    case Level::reference:
      return {1, 0.5};
    case Level::portable:
      return {real ? 5.0 : 4.0, 2};
    case Level::avx2:
      return {real ? 70.0 : wide ? 75.0 : 80.0, 4};
    case Level::avx512:
      break;
  }
  return {real ? 110.0 : wide ? 160.0 : 300.0, 6};
}

}  // namespace

double estimated_ns(std::int64_t flops, std::int64_t bytes, Dtype dtype, Level level) {
  const Speed speed = speed_of(dtype, level);
  return static_cast<double>(flops) / speed.products + static_cast<double>(bytes) / speed.bytes;
}

std::vector<int> share_steps(const std::vector<StepWork>& steps, int threads) {
  std::vector<int> shares;
  double win = 0;
  for (const StepWork& step : steps) {
    const auto worth = static_cast<std::int64_t>(std::min(step.nanoseconds / kLeastPart, 256.0));
    const std::int64_t parts = std::clamp<std::int64_t>(std::min(step.units, worth), 1, std::max(threads, 1));
    win += step.nanoseconds * (1 - 1 / static_cast<double>(parts));
    shares.push_back(static_cast<int>(parts));
  }
  if (win < kLeastWin) std::ranges::fill(shares, 1);
  return shares;
}

}  // namespace lathe::runtime
