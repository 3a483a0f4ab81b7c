#include "predictor.h"

#include <algorithm>

namespace lathe::graph::encoding {
namespace {

constexpr int kLimit = 255;      // bits after which a counter forgets as fast as it learns
constexpr int kMaxLogit = 2047;  // logits are in 1/256: nearly 8
constexpr int kWeightUnit = 65536;
constexpr int kMaxWeight = 64 * kWeightUnit;
constexpr int kLearningShift = 15;  // rate of learning: 65536 * 256 / 2^15 / 65536 = 1/128

/// Conversions between probabilities and logits, ln(p / (1 - p)). In integers throughout: floating-point
/// functions may differ in the last bit between machines.
struct Tables {
  std::array<std::int16_t, 4096> logit{};                      // of (i + 1/2) / 4096
  std::array<std::uint16_t, 2 * kMaxLogit + 1> probability{};  // of (i - kMaxLogit) / 256, in 1/65536
  std::array<std::int32_t, kLimit + 1> rate{};                 // 1 / (n + 1.6), in 1/65536

  constexpr Tables() {
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
    for (std::size_t n = 0; n < rate.size(); ++n) rate[n] = static_cast<std::int32_t>(655360 / (10 * n + 16));
  }
};
constexpr Tables kTables;

std::uint32_t mix_bits(std::uint32_t x) {
  x *= 0x9E3779B1U;
  x ^= x >> 15;
  x *= 0x85EBCA77U;
  return x ^ x >> 13;
}

}  // namespace

Predictor::Predictor(std::size_t contexts, std::size_t sets, int group_bits)
    : contexts_(contexts),
      group_bits_(group_bits),
      groups_(contexts << group_bits),
      weights_(contexts * sets, static_cast<std::int32_t>(kWeightUnit * 6 / (5 * contexts))) {
  for (Group& group : groups_) group.fill(Counter{1} << 31);
}

void Predictor::locate(std::span<const std::uint32_t> contexts, std::uint32_t prefix) {
  for (std::size_t i = 0; i < contexts_; ++i) {
    const std::uint32_t place = mix_bits(contexts[i] * 32 + prefix) >> (32 - group_bits_);
    group_[i] = &groups_[(i << group_bits_) + place];
  }
}

std::uint32_t Predictor::predict(std::uint32_t node, std::uint32_t set) {
  weight_ = &weights_[set * contexts_];
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < contexts_; ++i) {
    counter_[i] = &(*group_[i])[node];
    const std::uint32_t counter = *counter_[i];
    // What was seen a few times only counts less.
    const auto seen = std::min<std::int32_t>(static_cast<std::int32_t>(counter & 1023) * 2 + 4, 16);
    input_[i] = kTables.logit[counter >> 20] * seen / 16;
    sum += std::int64_t{weight_[i]} * input_[i];
  }
  const auto logit =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(sum / kWeightUnit, -kMaxLogit, kMaxLogit));
  probability_ = kTables.probability[static_cast<std::size_t>(logit + kMaxLogit)];
  return static_cast<std::uint32_t>(probability_);
}

void Predictor::update(bool bit) {
  const std::int32_t error = (bit ? 65536 : 0) - probability_;
  for (std::size_t i = 0; i < contexts_; ++i) {
    weight_[i] = std::clamp(weight_[i] + ((input_[i] * error) >> kLearningShift), -kMaxWeight, kMaxWeight);
    Counter& counter = *counter_[i];
    const auto seen = counter & 1023;
    const auto p = static_cast<std::int32_t>(counter >> 10);
    const std::int64_t target = bit ? (1 << 22) - 1 : 0;
    const auto moved = static_cast<std::uint32_t>(p + ((target - p) * kTables.rate[seen] >> 16));
    counter = moved << 10 | std::min<std::uint32_t>(seen + 1, kLimit);
  }
}

}  // namespace lathe::graph::encoding
