#pragma once

#include "codes.h"

/// Kernels that are worth writing by hand for AVX2.
namespace lathe::runtime {
namespace {

/// As avx512/elementwise.h, where it says how.
inline void shuffled_table_i8(const Call& call, Range elements) noexcept {
  const std::int8_t* table = static_cast<const TableI8*>(call.params)->table;
  const auto* x = static_cast<const std::int8_t*>(call.input);
  auto* out = static_cast<std::int8_t*>(call.output);
  __m256i rows[16];
  __m256i before = _mm256_setzero_si256();
  for (int i = 0; i < 16; ++i) {
    const __m256i row =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * i)));
    rows[i] = i % 8 == 0 ? row : _mm256_xor_si256(row, before);
    before = row;
  }
  const __m256i sixteen = _mm256_set1_epi8(16), sign = _mm256_set1_epi8(static_cast<char>(0x80));
  for (std::int64_t i = elements.begin; i < elements.end; i += 32) {
    __m256i upper = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    __m256i lower = _mm256_xor_si256(upper, sign), result = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int row = 0; row < 8; ++row) {
      result = _mm256_xor_si256(result, _mm256_xor_si256(_mm256_shuffle_epi8(rows[row], lower),
                                                         _mm256_shuffle_epi8(rows[8 + row], upper)));
      lower = _mm256_subs_epi8(lower, sixteen);
      upper = _mm256_subs_epi8(upper, sixteen);
    }
    const std::int64_t left = elements.end - i;
    if (left >= 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), result);
    } else {
      store_bytes(_mm256_castsi256_si128(result), out + i, static_cast<std::int32_t>(left));
      if (left > 16)
        store_bytes(_mm256_extracti128_si256(result, 1), out + i + 16, static_cast<std::int32_t>(left - 16));
    }
  }
}

}  // namespace
}  // namespace lathe::runtime
