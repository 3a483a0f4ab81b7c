#pragma once

#include "vectors.h"

/// Kernels that are worth writing by hand for AVX-512.
namespace lathe::runtime {
namespace {

/// As fixed_point.h, to_code: clamp (a NaN becomes the lower limit), round half away from zero, add the zero
/// point.
inline void quantize_f32_i8(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const Quantization8*>(call.params);
  const float* x = static_cast<const float*>(call.input);
  std::int8_t* out = static_cast<std::int8_t*>(call.output);
  const __m512 inverse = _mm512_set1_ps(p.inverse_scale), one = _mm512_set1_ps(1),
               half = _mm512_set1_ps(0.5f);
  const __m512 low = _mm512_set1_ps(static_cast<float>(-128 - p.zero_point));
  const __m512 high = _mm512_set1_ps(static_cast<float>(127 - p.zero_point));
  const __m512i zero_point = _mm512_set1_epi32(p.zero_point);
  for (std::int64_t i = elements.begin; i < elements.end; i += 16) {
    const __mmask16 mask = first_lanes(elements.end - i);
    const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), inverse);
    const __m512 value = _mm512_min_ps(_mm512_max_ps(scaled, low), high);
    const __m512 whole = _mm512_roundscale_ps(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(value, whole);
    const __mmask16 up = _mm512_cmp_ps_mask(rest, half, _CMP_GE_OQ);
    const __mmask16 down = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(-0.5f), _CMP_LE_OQ);
    const __m512 rounded = _mm512_mask_sub_ps(_mm512_mask_add_ps(whole, up, whole, one), down, whole, one);
    const __m512i codes = _mm512_add_epi32(_mm512_cvtps_epi32(rounded), zero_point);
    _mm512_mask_cvtepi32_storeu_epi8(out + i, mask, codes);
  }
}

}  // namespace
}  // namespace lathe::runtime
