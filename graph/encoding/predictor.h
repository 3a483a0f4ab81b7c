#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

/// The model behind the coded stream: how likely the next bit of a symbol is a 1, learnt from the symbols
/// before it. Each of several contexts ("the same channel", "a large neighbour") has counted what came after
/// it; a small logistic regression, trained bit by bit, weighs what they say (Mahoney 2005, "Adaptive
/// weighing of context models for lossless data compression"; Mattern 2012, "Mixing strategies in data
/// compression"). Integers only: every machine computes the same probabilities.
namespace lathe::graph::encoding {

/// Conversions between probabilities and logits, ln(p / (1 - p)). In integers throughout: floating-point
/// functions may differ in the last bit between machines.
struct PredictorTables {
  static constexpr int kMaxLogit = 2047;  // logits are in 1/256: nearly 8
  static constexpr int kLimit = 255;      // bits after which a counter forgets as fast as it learns

  std::array<std::int16_t, 4096> logit{};                      // of (i + 1/2) / 4096
  std::array<std::uint16_t, 2 * kMaxLogit + 1> probability{};  // of (i - kMaxLogit) / 256, in 1/65536
  std::array<std::int16_t, kLimit + 1> rate{};                 // 1 / (n + 1.6), in 1/8192

  constexpr PredictorTables();
};
extern const PredictorTables kPredictorTables;

/// `contexts`: how many contexts there are.
template <std::size_t contexts>
class Predictor {
 public:
  using Contexts = std::array<std::uint32_t, contexts>;

  /// `sets`: how many sets of weights can be chosen from. Each context has 2^group_bits groups of 16
  /// counters.
  Predictor(std::size_t sets, int group_bits)
      : group_bits_(group_bits),
        groups_(contexts << group_bits),
        weights_(contexts * sets, static_cast<std::int32_t>(kWeightUnit * 6 / (5 * contexts))) {
    for (Group& group : groups_) group.fill(Counter{1} << 31);
  }

  /// Codes a symbol of `bits` bits (at most 8) with RangeEncoder or RangeDecoder. First comes whether it is
  /// 0, then, if not, its bits from the highest, those of `flip` inverted. `which`: numbers below 2^27, each
  /// telling one kind of surroundings from the others. The weights for whether it is 0 are those of `set`,
  /// those for the bits of the sets after it.
  template <typename Coder>
  std::uint32_t symbol(Coder& coder, std::uint32_t value, int bits, std::uint32_t flip, const Contexts& which,
                       std::uint32_t set) {
    locate(which, 0);
    if (!bit(coder, value != 0, 0, set)) return 0;
    value ^= flip;
    std::uint32_t prefix = 1;  // the bits so far behind a 1
    for (int depth = 0; depth < bits; ++depth) {
      if (depth == 4) locate(which, prefix);
      // Four bits are one walk through a group, from its counter 1.
      const std::uint32_t walked = 1U << (depth % 4);
      const std::uint32_t node = walked | (prefix & (walked - 1));
      prefix = prefix << 1 |
               static_cast<std::uint32_t>(bit(coder, (value >> (bits - 1 - depth) & 1) != 0, node, ++set));
    }
    return (prefix ^ flip) & ((1U << bits) - 1);
  }

 private:
  /// A probability in the upper 22 bits, the number of bits seen in the lower 10.
  using Counter = std::uint32_t;
  /// The counters of a context and four bits of a symbol lie together.
  using Group = std::array<Counter, 16>;

  static constexpr int kWeightUnit = 65536;
  static constexpr int kMaxWeight = 15 * kWeightUnit;  // times a logit: 31 bits
  static constexpr int kLearningShift = 15;            // rate of learning: 65536 * 256 / 2^15 / 65536 = 1/128

  static std::uint32_t mix_bits(std::uint32_t x) {
    x *= 0x9E3779B1U;
    x ^= x >> 15;
    x *= 0x85EBCA77U;
    return x ^ x >> 13;
  }

  void locate(const Contexts& which, std::uint32_t prefix) {
    for (std::size_t i = 0; i < contexts; ++i) {
      const std::uint32_t place = mix_bits(which[i] * 32 + prefix) >> (32 - group_bits_);
      group_[i] = &groups_[(i << group_bits_) + place];
    }
  }

  template <typename Coder>
  bool bit(Coder& coder, bool value, std::uint32_t node, std::uint32_t set) {
    constexpr int kMaxLogit = PredictorTables::kMaxLogit;
    const PredictorTables& tables = kPredictorTables;
    std::int32_t* const weight = &weights_[set * contexts];
    std::array<std::int32_t, contexts> input;
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < contexts; ++i) {
      const Counter counter = (*group_[i])[node];
      // What was seen a few times only counts less.
      const auto seen = std::min<std::int32_t>(static_cast<std::int32_t>(counter & 1023) * 2 + 4, 16);
      input[i] = tables.logit[counter >> 20] * seen >> 4;
      sum += weight[i] * input[i] >> 8;
    }
    const std::int32_t logit = std::clamp(sum >> 8, -kMaxLogit, kMaxLogit);
    const std::uint32_t probability = tables.probability[static_cast<std::size_t>(logit + kMaxLogit)];

    value = coder.bit(value, probability);

    const std::int32_t error = (value ? 65536 : 0) - static_cast<std::int32_t>(probability);
    const std::int32_t target = value ? (1 << 22) - 1 : 0;
    for (std::size_t i = 0; i < contexts; ++i) {
      weight[i] = std::clamp(weight[i] + ((input[i] * error) >> kLearningShift), -kMaxWeight, kMaxWeight);
      Counter& counter = (*group_[i])[node];
      const Counter seen = counter & 1023;
      const auto p = static_cast<std::int32_t>(counter >> 10);
      const auto moved = static_cast<Counter>(p + (((target - p) >> 4) * tables.rate[seen] >> 9));
      counter = moved << 10 | std::min<Counter>(seen + 1, PredictorTables::kLimit);
    }
    return value;
  }

  int group_bits_;
  std::vector<Group> groups_;
  std::vector<std::int32_t> weights_;
  std::array<Group*, contexts> group_{};  // of the symbol at hand
};

}  // namespace lathe::graph::encoding
