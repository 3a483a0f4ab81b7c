#include "simd.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

/// Philox4x32-10 as in base/random.h, many counters beside each other.
void random_words(std::uint64_t seed, std::uint64_t stream, std::uint64_t first, Index blocks,
                  std::uint32_t* __restrict words) {
  const auto stream_low = static_cast<std::uint32_t>(stream),
             stream_high = static_cast<std::uint32_t>(stream >> 32);
  const auto seed_low = static_cast<std::uint32_t>(seed), seed_high = static_cast<std::uint32_t>(seed >> 32);
#pragma omp simd
  for (Index b = 0; b < blocks; ++b) {
    const std::uint64_t index = first + static_cast<std::uint64_t>(b);
    std::uint32_t c0 = static_cast<std::uint32_t>(index), c1 = static_cast<std::uint32_t>(index >> 32);
    std::uint32_t c2 = stream_low, c3 = stream_high;
    std::uint32_t k0 = seed_low, k1 = seed_high;
#if defined(__clang__)
#pragma unroll
#else
#pragma GCC unroll 10
#endif
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t{0xD2511F53u} * c0;
      const std::uint64_t d = std::uint64_t{0xCD9E8D57u} * c2;
      c0 = static_cast<std::uint32_t>(d >> 32) ^ c1 ^ k0;
      c1 = static_cast<std::uint32_t>(d);
      c2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
      c3 = static_cast<std::uint32_t>(a);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    words[4 * b] = c0;
    words[4 * b + 1] = c1;
    words[4 * b + 2] = c2;
    words[4 * b + 3] = c3;
  }
}

void drop(const float* __restrict x, const std::uint32_t* __restrict words, std::uint32_t threshold,
          float factor, float* __restrict y, std::uint8_t* __restrict keep, Index n) {
  for (Index i = 0; i < n; ++i) {
    const bool kept = (words[i] >> 8) >= threshold;
    y[i] = kept ? factor * x[i] : 0.0f;
    keep[i] = kept;
  }
}

void drop_backward(const float* dy, const std::uint8_t* __restrict keep, float factor, float* dx, Index n) {
#pragma omp simd
  for (Index i = 0; i < n; ++i) dx[i] = keep[i] != 0 ? factor * dy[i] : 0.0f;
}

}  // namespace

const Dropout kDropout{.random_words = random_words, .drop = drop, .drop_backward = drop_backward};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
