#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace lathe {

/// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1,
/// 2, 3"). The n-th number depends on (seed, stream, n) only, on every machine and for any number of threads.
class Rng {
 public:
  /// Where the sequence stands; restoring it continues with the same numbers.
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t position = 0;  ///< 32-bit words drawn so far
    bool operator==(const State&) const = default;
  };

  explicit Rng(std::uint64_t seed, std::uint64_t stream = 0);
  explicit Rng(const State& state);

  /// An independent sequence for a purpose, e.g. rng.split("conv1.weight"). Does not advance this one.
  Rng split(std::string_view purpose) const;
  Rng split(std::uint64_t index) const;

  std::uint32_t next();
  /// Uniform in [0, 1), 24 bits.
  float uniform();
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, n), n >= 1, without bias.
  std::uint64_t below(std::uint64_t n);
  /// Standard normal (Box-Muller).
  float normal();
  /// Fills with uniforms in [low, high), in order.
  void fill_uniform(std::span<float> out, float low, float high);

  State state() const { return state_; }

 private:
  State state_;
  std::array<std::uint32_t, 4> block_{};
  std::uint64_t block_index_ = ~std::uint64_t{0};
};

/// 64 mixed bits of a text or a number (SplitMix64 finaliser); for deriving streams.
std::uint64_t hash_bits(std::string_view text);
std::uint64_t hash_bits(std::uint64_t value);

/// The four words of Philox4x32-10 for a counter and a key: for filling in parallel.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

}  // namespace lathe
