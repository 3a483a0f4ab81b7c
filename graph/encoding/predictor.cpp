#include "predictor.h"

namespace lathe::graph::encoding {

constexpr PredictorTables::PredictorTables() {
  constexpr std::uint64_t kOne = std::uint64_t{1} << 32;
  constexpr std::uint64_t kStep = 4278222805;  // exp(-1/256) in 1/2^32
  std::uint64_t power = kOne;                  // exp(-x)
  for (int x = 0; x <= kMaxLogit; ++x) {
    const auto p = static_cast<std::uint16_t>((kOne << 16) / (kOne + power));
    probability[static_cast<std::size_t>(kMaxLogit + x)] = p;
    probability[static_cast<std::size_t>(kMaxLogit - x)] = static_cast<std::uint16_t>(65536 - p);
    power = power * kStep >> 32;
  }
  int x = -kMaxLogit;
  for (std::size_t i = 0; i < logit.size(); ++i) {
    while (x < kMaxLogit && probability[static_cast<std::size_t>(x + kMaxLogit)] < i * 16 + 8) ++x;
    logit[i] = static_cast<std::int16_t>(x);
  }
  for (std::size_t n = 0; n < rate.size(); ++n) rate[n] = static_cast<std::int16_t>(81920 / (10 * n + 16));
}

constinit const PredictorTables kPredictorTables;

}  // namespace lathe::graph::encoding
