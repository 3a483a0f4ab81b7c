#include <lathe/base/random.h>

#include <cmath>
#include <numbers>

namespace lathe {

std::uint64_t hash_bits(std::uint64_t value) {
  value += 0x9E3779B97F4A7C15u;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
  return value ^ (value >> 31);
}

std::uint64_t hash_bits(std::string_view text) {
  std::uint64_t hash = text.size();
  for (char c : text) hash = hash_bits(hash ^ static_cast<unsigned char>(c));
  return hash;
}

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

Rng::Rng(std::uint64_t seed, std::uint64_t stream) : state_{seed, stream, 0} {}
Rng::Rng(const State& state) : state_(state) {}

Rng Rng::split(std::string_view purpose) const { return split(hash_bits(purpose)); }
Rng Rng::split(std::uint64_t index) const {
  return Rng(state_.seed, hash_bits(state_.stream ^ hash_bits(index)));
}

std::uint32_t Rng::next() {
  const std::uint64_t index = state_.position / 4;
  if (index != block_index_) {
    block_ =
        philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                static_cast<std::uint32_t>(state_.stream), static_cast<std::uint32_t>(state_.stream >> 32)},
               {static_cast<std::uint32_t>(state_.seed), static_cast<std::uint32_t>(state_.seed >> 32)});
    block_index_ = index;
  }
  return block_[state_.position++ % 4];
}

float Rng::uniform() { return static_cast<float>(next() >> 8) * 0x1p-24f; }

std::uint64_t Rng::below(std::uint64_t n) {
  // Rejection keeps it exact: draws at or above the largest multiple of n are thrown away.
  const std::uint64_t limit = ~std::uint64_t{0} - (~std::uint64_t{0} % n + 1) % n;
  for (;;) {
    const std::uint64_t high = next();
    const std::uint64_t draw = high << 32 | next();
    if (draw <= limit) return draw % n;
  }
}

float Rng::normal() {
  const float radius = std::sqrt(-2.0f * std::log(1.0f - uniform()));
  return radius * std::cos(2.0f * std::numbers::pi_v<float> * uniform());
}

void Rng::fill_uniform(std::span<float> out, float low, float high) {
  for (float& value : out) value = uniform(low, high);
}

}  // namespace lathe
