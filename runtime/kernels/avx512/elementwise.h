#pragma once

#include "../real_add.h"
#include "codes.h"

/// Kernels that are worth writing by hand for AVX-512.
namespace lathe::runtime {
namespace {

/// Shuffles look up sixteen bytes each. Rows of the table take part one after the other: a code moved down by
/// sixteen a row, saturated, keeps its sign bit once it is below the row, for which a shuffle gives 0, and
/// row i holds what it differs by from the row before (exclusive or), so that all that took part make up the
/// entry. Codes from 0 on go through the upper half of the table, the others, their sign flipped, through the
/// lower.
inline void shuffled_table_i8(const Call& call, Range elements) noexcept {
  const std::int8_t* table = static_cast<const TableI8*>(call.params)->table;
  const auto* x = static_cast<const std::int8_t*>(call.input);
  auto* out = static_cast<std::int8_t*>(call.output);
  __m512i rows[16];
  __m512i before = _mm512_setzero_si512();
  for (int i = 0; i < 16; ++i) {
    const __m512i row = _mm512_broadcast_i32x4(
        _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(table + 16 * i))));
    rows[i] = i % 8 == 0 ? row : _mm512_xor_si512(row, before);
    before = row;
  }
  const __m512i sixteen = _mm512_set1_epi8(16), sign = _mm512_set1_epi8(static_cast<char>(0x80));
  constexpr int kXor3 = 0x96;
  const auto look_up = [&](__m512i upper) __attribute__((always_inline)) {
    __m512i lower = _mm512_xor_si512(upper, sign), result = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      result = _mm512_ternarylogic_epi32(result, _mm512_shuffle_epi8(rows[i], lower),
                                         _mm512_shuffle_epi8(rows[8 + i], upper), kXor3);
      lower = _mm512_subs_epi8(lower, sixteen);
      upper = _mm512_subs_epi8(upper, sixteen);
    }
    return result;
  };
  std::int64_t i = elements.begin;
  for (; i + 64 <= elements.end; i += 64) _mm512_storeu_si512(out + i, look_up(_mm512_loadu_si512(x + i)));
  const __mmask64 mask = first_bytes(elements.end - i);
  if (i < elements.end) _mm512_mask_storeu_epi8(out + i, mask, look_up(_mm512_maskz_loadu_epi8(mask, x + i)));
}

/// As fixed_point.h, to_code: clamp (a NaN becomes the lower limit), round half away from zero, add the zero
/// point. Rounding adds the largest float below a half with the sign of x and cuts: x + 0.5 itself would
/// round up just below the half.
inline void quantize_f32_i8(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const Quantization8*>(call.params);
  const float* x = static_cast<const float*>(call.input);
  std::int8_t* out = static_cast<std::int8_t*>(call.output);
  const __m512 inverse = _mm512_set1_ps(p.inverse_scale), half = _mm512_set1_ps(0x1.fffffep-2f);
  const __m512 sign = _mm512_set1_ps(-0.f);
  const __m512 low = _mm512_set1_ps(static_cast<float>(-128 - p.zero_point));
  const __m512 high = _mm512_set1_ps(static_cast<float>(127 - p.zero_point));
  const __m512i zero_point = _mm512_set1_epi16(static_cast<std::int16_t>(p.zero_point));
  const auto rounded = [&](const float* from, __mmask16 mask) {
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, from), inverse);
    const __m512 value = _mm512_min_ps(_mm512_max_ps(scaled, low), high);
    return _mm512_cvttps_epi32(_mm512_add_ps(value, _mm512_or_ps(_mm512_and_ps(value, sign), half)));
  };
  // Packing works within quarters of a register; this puts the groups of four bytes back in order.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (std::int64_t i = elements.begin; i < elements.end; i += 64) {
    const std::int64_t left = elements.end - i;
    const auto pair = [&](std::int64_t at) {
      const __m512i words = _mm512_packs_epi32(rounded(x + i + at, first_lanes(left - at)),
                                               rounded(x + i + at + 16, first_lanes(left - at - 16)));
      return _mm512_add_epi16(words, zero_point);
    };
    const __m512i codes = _mm512_packs_epi16(pair(0), pair(32));
    _mm512_mask_storeu_epi8(out + i, first_bytes(left), _mm512_permutexvar_epi32(order, codes));
  }
}

/// As generic/loops.h, quantize_f32_i16, where it says why this is exact. Clamped first, far beyond the
/// codes, because the conversion to integers does not saturate (a NaN becomes the lower limit).
inline void quantize_f32_i16(const Call& call, Range elements) noexcept {
  const float scale = static_cast<const Quantization8*>(call.params)->scale;
  const float* x = static_cast<const float*>(call.input);
  std::int16_t* out = static_cast<std::int16_t*>(call.output);
  const __m512d inverse = _mm512_set1_pd(1 / static_cast<double>(scale));
  const __m512d half = _mm512_set1_pd(0.5 + 0x1p-30), sign = _mm512_set1_pd(-0.);
  const float limit = scale < 0x1p100f ? scale * 0x1p16f : __FLT_MAX__;
  const __m512 low = _mm512_set1_ps(-limit), high = _mm512_set1_ps(limit);
  const auto rounded = [&](__m256 eight) {
    const __m512d value = _mm512_mul_pd(_mm512_cvtps_pd(eight), inverse);
    return _mm512_cvttpd_epi32(_mm512_add_pd(value, _mm512_or_pd(_mm512_and_pd(value, sign), half)));
  };
  for (std::int64_t i = elements.begin; i < elements.end; i += 16) {
    const __mmask16 mask = first_lanes(elements.end - i);
    const __m512 value = _mm512_min_ps(_mm512_max_ps(_mm512_maskz_loadu_ps(mask, x + i), low), high);
    const __m256i first = rounded(_mm512_castps512_ps256(value));
    const __m256i second = rounded(_mm512_extractf32x8_ps(value, 1));
    const __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    _mm256_mask_storeu_epi16(out + i, mask, _mm512_cvtsepi32_epi16(codes));
  }
}

/// kernels/real_add.h; 64 codes at a time, packed within quarters of a register.
inline void real_add(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const RealAddI8*>(call.params);
  const auto *a = static_cast<const std::int8_t*>(call.input),
             *b = static_cast<const std::int8_t*>(call.second);
  auto* out = static_cast<std::int8_t*>(call.output);
  const __m512 first = _mm512_set1_ps(p.first), second = _mm512_set1_ps(p.second);
  const __m512 offset = _mm512_set1_ps(p.offset);
  const __m512i low = _mm512_set1_epi8(static_cast<char>(p.low)),
                high = _mm512_set1_epi8(static_cast<char>(p.high));
  const auto sum = [&](__m128i x, __m128i y) __attribute__((always_inline)) {
    const __m512 real_x = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x));
    const __m512 real_y = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(y));
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(real_x, first, _mm512_fmadd_ps(real_y, second, offset)));
  };
  const auto sixteen = [&](std::int64_t i) __attribute__((always_inline)) {
    return sum(_mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(a + i))),
               _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(b + i))));
  };
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  std::int64_t i = elements.begin;
  for (; i + 64 <= elements.end; i += 64) {
    const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(sixteen(i), sixteen(i + 16)),
                                              _mm512_packs_epi32(sixteen(i + 32), sixteen(i + 48)));
    const __m512i limited = _mm512_min_epi8(_mm512_max_epi8(packed, low), high);
    _mm512_storeu_si512(out + i, _mm512_permutexvar_epi32(order, limited));
  }
  for (; i < elements.end; i += 16) {
    const __mmask16 mask = first_lanes(elements.end - i);
    const __m128i codes =
        _mm512_cvtsepi32_epi8(sum(_mm_maskz_loadu_epi8(mask, a + i), _mm_maskz_loadu_epi8(mask, b + i)));
    _mm_mask_storeu_epi8(
        out + i, mask,
        _mm_min_epi8(_mm_max_epi8(codes, _mm512_castsi512_si128(low)), _mm512_castsi512_si128(high)));
  }
}

}  // namespace
}  // namespace lathe::runtime
