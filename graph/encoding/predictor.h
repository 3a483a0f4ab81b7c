#pragma once

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

class Predictor {
 public:
  static constexpr std::size_t kMaxContexts = 12;

  /// `sets`: how many sets of weights can be chosen from. Each context has 2^group_bits groups of 16
  /// counters.
  Predictor(std::size_t contexts, std::size_t sets, int group_bits);

  /// Codes a symbol of `bits` bits (at most 8) with RangeEncoder or RangeDecoder. First comes whether it is
  /// 0, then, if not, its bits from the highest, those of `flip` inverted. `contexts`: as many numbers below
  /// 2^27 as there are contexts, each telling one kind of surroundings from the others. The weights for
  /// whether it is 0 are those of `set`, those for the bits of the sets after it.
  template <typename Coder>
  std::uint32_t symbol(Coder& coder, std::uint32_t value, int bits, std::uint32_t flip,
                       std::span<const std::uint32_t> contexts, std::uint32_t set) {
    locate(contexts, 0);
    if (!bit(coder, value != 0, 0, set)) return 0;
    value ^= flip;
    std::uint32_t prefix = 1;  // the bits so far behind a 1
    for (int depth = 0; depth < bits; ++depth) {
      if (depth == 4) locate(contexts, prefix);
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

  void locate(std::span<const std::uint32_t> contexts, std::uint32_t prefix);
  std::uint32_t predict(std::uint32_t node, std::uint32_t set);
  void update(bool bit);

  template <typename Coder>
  bool bit(Coder& coder, bool value, std::uint32_t node, std::uint32_t set) {
    value = coder.bit(value, predict(node, set));
    update(value);
    return value;
  }

  std::size_t contexts_;
  int group_bits_;
  std::vector<Group> groups_;
  std::vector<std::int32_t> weights_;

  // Of the bit at hand.
  std::array<Group*, kMaxContexts> group_{};
  std::array<Counter*, kMaxContexts> counter_{};
  std::array<std::int32_t, kMaxContexts> input_{};
  std::int32_t* weight_ = nullptr;
  std::int32_t probability_ = 0;
};

}  // namespace lathe::graph::encoding
