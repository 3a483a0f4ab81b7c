#pragma once

#include "../real_add.h"
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

/// kernels/real_add.h; sixteen codes at a time.
inline void real_add(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const RealAddI8*>(call.params);
  const auto *a = static_cast<const std::int8_t*>(call.input),
             *b = static_cast<const std::int8_t*>(call.second);
  auto* out = static_cast<std::int8_t*>(call.output);
  const __m256 first = _mm256_set1_ps(p.first), second = _mm256_set1_ps(p.second);
  const __m256 offset = _mm256_set1_ps(p.offset);
  const __m256i low = _mm256_set1_epi16(static_cast<std::int16_t>(p.low)),
                high = _mm256_set1_epi16(static_cast<std::int16_t>(p.high));
  const auto real = [](__m128i codes) __attribute__((always_inline)) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
  };
  const auto sum = [&](__m128i x, __m128i y) __attribute__((always_inline)) {
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(real(x), first, _mm256_fmadd_ps(real(y), second, offset)));
  };
  for (std::int64_t i = elements.begin; i < elements.end;
       i += kLanes) {  // buffers may be read beyond the end
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a + i));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b + i));
    const __m256i packed = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(sum(x, y), sum(_mm_srli_si128(x, 8), _mm_srli_si128(y, 8))), 0xd8);
    const std::int64_t left = elements.end - i;
    store_codes(_mm256_min_epi16(_mm256_max_epi16(packed, low), high), out + i,
                left < kLanes ? static_cast<std::int32_t>(left) : kLanes);
  }
}

}  // namespace
}  // namespace lathe::runtime
