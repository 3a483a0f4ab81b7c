#pragma once

#include "simd.h"

/// One vector type for the level a file is compiled for: 16 floats with AVX-512, 8 with AVX2 and FMA, else 4.
/// For the .cpp files of this folder only: they are compiled once for each level with LATHE_LEVEL set to the
/// level's namespace, and use nothing from the standard library, whose inline functions the linker could pick
/// for everyone.

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__clang__)
#define LATHE_UNROLL _Pragma("unroll")
#else
#define LATHE_UNROLL _Pragma("GCC unroll 32")
#endif
#define LATHE_INLINE inline __attribute__((always_inline))

namespace lathe::kernels::simd::LATHE_LEVEL {

#if defined(__AVX512F__)

inline constexpr int kWidth = 16;
inline constexpr int kRegisters = 32;

struct Vec {
  __m512 v;
};
/// Which lanes; the first n of them, or the outcome of a comparison.
struct Lanes {
  __mmask16 m;
};

LATHE_INLINE Lanes first_lanes(Index n) { return {static_cast<__mmask16>(n >= 16 ? 0xffff : (1u << n) - 1)}; }
LATHE_INLINE Vec zero() { return {_mm512_setzero_ps()}; }
LATHE_INLINE Vec broadcast(float x) { return {_mm512_set1_ps(x)}; }
LATHE_INLINE Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
LATHE_INLINE Vec load(const float* p, Lanes l) { return {_mm512_maskz_loadu_ps(l.m, p)}; }
LATHE_INLINE void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
LATHE_INLINE void store(float* p, Vec a, Lanes l) { _mm512_mask_storeu_ps(p, l.m, a.v); }
LATHE_INLINE Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
LATHE_INLINE Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
LATHE_INLINE Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
/// a * b + c
LATHE_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/// b when either is NaN.
LATHE_INLINE Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
LATHE_INLINE Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
LATHE_INLINE Lanes greater(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
LATHE_INLINE Lanes equal(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
/// Where either is NaN.
LATHE_INLINE Lanes unordered(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q)}; }
LATHE_INLINE bool any(Lanes l) { return l.m != 0; }
LATHE_INLINE Lanes operator&(Lanes a, Lanes b) { return {static_cast<__mmask16>(a.m & b.m)}; }
LATHE_INLINE Lanes operator|(Lanes a, Lanes b) { return {static_cast<__mmask16>(a.m | b.m)}; }
LATHE_INLINE Vec select(Lanes l, Vec yes, Vec no) { return {_mm512_mask_blend_ps(l.m, no.v, yes.v)}; }
/// a in the lanes, else 0
LATHE_INLINE Vec keep(Lanes l, Vec a) { return {_mm512_maskz_mov_ps(l.m, a.v)}; }
LATHE_INLINE float sum(
    Vec a) {  // the unmasked extracts warn in g++ 12: their "undefined" operand is used uninitialised
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_maskz_extractf32x8_ps(0xff, a.v, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
/// Bytes to and from whole numbers 0..255.
LATHE_INLINE void store_bytes(unsigned char* p, Vec a, Lanes l) {
  _mm512_mask_cvtepi32_storeu_epi8(p, l.m, _mm512_cvttps_epi32(a.v));
}
LATHE_INLINE Vec load_bytes(const unsigned char* p, Lanes l) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(l.m, p)))};
}
/// To the nearest whole number.
LATHE_INLINE Vec round(Vec a) {
  return {_mm512_maskz_roundscale_ps(0xffff, a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a * 2^n, n whole in -127..127 (2^-127 may count as 0).
LATHE_INLINE Vec scale_by_power(Vec a, Vec n) { return {_mm512_maskz_scalef_ps(0xffff, a.v, n.v)}; }
/// 1 / a to some roundings, a in 1..2^127.
LATHE_INLINE Vec reciprocal(Vec a) {
  const __m512 near = _mm512_rcp14_ps(a.v);  // to 2^-14; Newton's step squares the error
  return {_mm512_mul_ps(near, _mm512_fnmadd_ps(a.v, near, _mm512_set1_ps(2)))};
}

#elif defined(__AVX2__)

inline constexpr int kWidth = 8;
inline constexpr int kRegisters = 16;

struct Vec {
  __m256 v;
};
struct Lanes {
  __m256 m;
};

LATHE_INLINE Lanes first_lanes(Index n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n < 8 ? n : 8)), lane))};
}
LATHE_INLINE Vec zero() { return {_mm256_setzero_ps()}; }
LATHE_INLINE Vec broadcast(float x) { return {_mm256_set1_ps(x)}; }
LATHE_INLINE Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
LATHE_INLINE Vec load(const float* p, Lanes l) { return {_mm256_maskload_ps(p, _mm256_castps_si256(l.m))}; }
LATHE_INLINE void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
LATHE_INLINE void store(float* p, Vec a, Lanes l) { _mm256_maskstore_ps(p, _mm256_castps_si256(l.m), a.v); }
LATHE_INLINE Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
LATHE_INLINE Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
LATHE_INLINE Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
LATHE_INLINE Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
LATHE_INLINE Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
LATHE_INLINE Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
LATHE_INLINE Lanes greater(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
LATHE_INLINE Lanes equal(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
LATHE_INLINE Lanes unordered(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_UNORD_Q)}; }
LATHE_INLINE bool any(Lanes l) { return _mm256_movemask_ps(l.m) != 0; }
LATHE_INLINE Lanes operator&(Lanes a, Lanes b) { return {_mm256_and_ps(a.m, b.m)}; }
LATHE_INLINE Lanes operator|(Lanes a, Lanes b) { return {_mm256_or_ps(a.m, b.m)}; }
LATHE_INLINE Vec select(Lanes l, Vec yes, Vec no) { return {_mm256_blendv_ps(no.v, yes.v, l.m)}; }
LATHE_INLINE Vec keep(Lanes l, Vec a) { return {_mm256_and_ps(l.m, a.v)}; }
LATHE_INLINE float sum(Vec a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
LATHE_INLINE void store_bytes(unsigned char* p, Vec a, Lanes l) {
  const __m256i wide = _mm256_cvttps_epi32(a.v);
  __m128i b = _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  b = _mm_packus_epi16(b, b);
  const int lanes = _mm256_movemask_ps(l.m);
  if (lanes == 0xff) return _mm_storel_epi64(reinterpret_cast<__m128i*>(p), b);
  unsigned char bytes[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), b);
  for (int i = 0; i < 8; ++i)
    if ((lanes >> i & 1) != 0) p[i] = bytes[i];
}
LATHE_INLINE Vec load_bytes(const unsigned char* p, Lanes l) {
  const int lanes = _mm256_movemask_ps(l.m);
  __m128i b;
  if (lanes == 0xff) {
    b = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  } else {
    unsigned char bytes[16] = {};
    for (int i = 0; i < 8; ++i)
      if ((lanes >> i & 1) != 0) bytes[i] = p[i];
    b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  }
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(b))};
}
LATHE_INLINE Vec round(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
LATHE_INLINE Vec scale_by_power(Vec a, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127));
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)))};
}
LATHE_INLINE Vec reciprocal(Vec a) { return {_mm256_div_ps(_mm256_set1_ps(1), a.v)}; }

#else  // four floats by the compiler's vector extension: SSE2 on x86-64, NEON on Arm

inline constexpr int kWidth = 4;
inline constexpr int kRegisters = 16;

using Floats [[gnu::vector_size(16)]] = float;
using Ints [[gnu::vector_size(16)]] = int;

struct Vec {
  Floats v;
};
struct Lanes {
  Ints m;
};

LATHE_INLINE Lanes first_lanes(Index n) {
  const int count = static_cast<int>(n < 4 ? n : 4);
  return {Ints{0, 1, 2, 3} < Ints{count, count, count, count}};
}
LATHE_INLINE Vec zero() { return {Floats{}}; }
LATHE_INLINE Vec broadcast(float x) { return {Floats{x, x, x, x}}; }
LATHE_INLINE Vec load(const float* p) {
  Vec r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
LATHE_INLINE Vec load(const float* p, Lanes l) {
  if (l.m[3] != 0) return load(p);
  Vec r = zero();
  for (int i = 0; i < 3; ++i)
    if (l.m[i] != 0) r.v[i] = p[i];
  return r;
}
LATHE_INLINE void store(float* p, Vec a) { __builtin_memcpy(p, &a, sizeof a); }
LATHE_INLINE void store(float* p, Vec a, Lanes l) {
  if (l.m[3] != 0) return store(p, a);
  for (int i = 0; i < 3; ++i)
    if (l.m[i] != 0) p[i] = a.v[i];
}
LATHE_INLINE Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
LATHE_INLINE Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
LATHE_INLINE Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
LATHE_INLINE Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
LATHE_INLINE Lanes greater(Vec a, Vec b) { return {a.v > b.v}; }
LATHE_INLINE Lanes equal(Vec a, Vec b) { return {a.v == b.v}; }
LATHE_INLINE Lanes unordered(Vec a, Vec b) { return {(a.v != a.v) | (b.v != b.v)}; }
LATHE_INLINE bool any(Lanes l) { return (l.m[0] | l.m[1] | l.m[2] | l.m[3]) != 0; }
LATHE_INLINE Lanes operator&(Lanes a, Lanes b) { return {a.m & b.m}; }
LATHE_INLINE Lanes operator|(Lanes a, Lanes b) { return {a.m | b.m}; }
LATHE_INLINE Vec select(Lanes l, Vec yes, Vec no) {
  return {reinterpret_cast<Floats>((l.m & reinterpret_cast<Ints>(yes.v)) |
                                   (~l.m & reinterpret_cast<Ints>(no.v)))};
}
LATHE_INLINE Vec keep(Lanes l, Vec a) {
  return {reinterpret_cast<Floats>(l.m & reinterpret_cast<Ints>(a.v))};
}
LATHE_INLINE Vec max(Vec a, Vec b) { return select(greater(a, b), a, b); }
LATHE_INLINE Vec min(Vec a, Vec b) { return select(greater(b, a), a, b); }
LATHE_INLINE float sum(Vec a) { return (a.v[0] + a.v[1]) + (a.v[2] + a.v[3]); }
LATHE_INLINE void store_bytes(unsigned char* p, Vec a, Lanes l) {
  for (int i = 0; i < 4; ++i)
    if (l.m[i] != 0) p[i] = static_cast<unsigned char>(a.v[i]);
}
LATHE_INLINE Vec load_bytes(const unsigned char* p, Lanes l) {
  Vec r = zero();
  for (int i = 0; i < 4; ++i)
    if (l.m[i] != 0) r.v[i] = static_cast<float>(p[i]);
  return r;
}
LATHE_INLINE Vec round(Vec a) {
  // 1.5 * 2^23: the last bit of the sum stands for 1.
  const Vec magic = broadcast(12582912.0f);
  return (a + magic) - magic;
}
LATHE_INLINE Vec scale_by_power(Vec a, Vec n) {
  const Floats magic{12582912.0f, 12582912.0f, 12582912.0f, 12582912.0f};
  const Ints whole = reinterpret_cast<Ints>(n.v + magic) - reinterpret_cast<Ints>(magic);
  return {a.v * reinterpret_cast<Floats>((whole + 127) << 23)};
}
LATHE_INLINE Vec reciprocal(Vec a) { return {broadcast(1).v / a.v}; }

#endif

/// Asks for what lies some lines behind p, inside the array or not: where a loop reads two arrays from
/// memory, the processor's own foresight comes too late.
LATHE_INLINE void fetch_ahead(const float* p) {
  constexpr Index kBytes = 2048;
  __builtin_prefetch(reinterpret_cast<const char*>(p) + kBytes);
}

/// 1 / (1 + exp(-x)) with a relative error below 1e-6 where |x| < 87, constant beyond; NaN stays NaN.
LATHE_INLINE Vec sigmoid(Vec x) {
  x = min(broadcast(88), max(broadcast(-87), x));
  // exp(-x) = 2^n * 2^f: n = round(-x log2(e)), f = -x log2(e) - n with log2(e) in two parts; 2^f on
  // [-1/2, 1/2] interpolated at Chebyshev nodes.
  const Vec high = broadcast(-1.44269502f);
  const Vec n = round(x * high);
  const Vec f = fma(x, broadcast(-1.92596299e-8f), fma(x, high, broadcast(0) - n));
  Vec p = fma(broadcast(0.00133908633f), f, broadcast(0.00967603177f));
  p = fma(p, f, broadcast(0.0555035695f));
  p = fma(p, f, broadcast(0.240221068f));
  p = fma(p, f, broadcast(0.693147182f));
  p = fma(p, f, broadcast(1.00000012f));
  return reciprocal(broadcast(1) + scale_by_power(p, n));
}

/// What the clamp let through of `grad`, told by its output.
LATHE_INLINE Vec passed(Clamp clamp, Vec output, Vec grad) {
  if (clamp == Clamp::none) return grad;
  grad = keep(greater(output, zero()), grad);
  return clamp == Clamp::relu6 ? keep(greater(broadcast(6), output), grad) : grad;
}

}  // namespace lathe::kernels::simd::LATHE_LEVEL
