#pragma once

#include "../generic/powers.h"
#include "../packed.h"

#include <immintrin.h>

/// What the kernels of kernels/generic need of AVX-512: sixteen lanes are one register.
namespace lathe::runtime {
namespace {

inline __mmask16 first_lanes(std::int64_t lanes) {
  return static_cast<__mmask16>(lanes >= 16 ? 0xffff : lanes <= 0 ? 0 : (1u << lanes) - 1);
}
inline __mmask32 first_words(std::int64_t words) {
  return words >= 32 ? ~__mmask32{0} : (__mmask32{1} << words) - 1;
}
inline __mmask64 first_bytes(std::int64_t bytes) {
  return bytes >= 64 ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
}

struct F32 {
  using Mask = __mmask16;
  static Mask mask(std::int32_t lanes) { return first_lanes(lanes); }
  using In = float;
  using Element = float;
  using Out = float;
  using Sum = __m512;
  using SumElement = float;
  using Scaling = LaneRescale;  ///< none
  using Weight = __m512;
  using WeightElement = float;
  using Pixel = __m512;
  static constexpr int kStep = 1, kMaxTile = 12, kMaxPoolTile = 3, kMaxBlocks = 2, kPatchTile = 14,
                       kPatchPoolTile = 4;
  static constexpr bool kAlwaysStaged = false;

  static Sum start(const void* bias) { return _mm512_loadu_ps(bias); }
  static Weight load(const float* weight) { return _mm512_loadu_ps(weight); }
  static Pixel broadcast(const float* x) { return _mm512_set1_ps(*x); }
  static Pixel load_x(const float* x) { return _mm512_loadu_ps(x); }
  static void add(Sum& sum, Weight weight, Pixel x) { sum = _mm512_fmadd_ps(weight, x, sum); }
  static Sum max(Sum a, Sum b) { return _mm512_max_ps(a, b); }
  static Sum scale(Sum x, Sum factor, Sum bias) { return _mm512_add_ps(_mm512_mul_ps(factor, x), bias); }

  static Sum times(Sum a, Sum b) { return _mm512_mul_ps(a, b); }
  static Sum plus(Sum a, Sum b) { return _mm512_add_ps(a, b); }
  static Sum zero() { return _mm512_setzero_ps(); }
  static float sum_of_lanes(Sum x) { return _mm512_reduce_add_ps(x); }
  static Sum gather(const float* x, const std::int32_t* index) {
    return _mm512_i32gather_ps(_mm512_loadu_si512(index), x, 4);
  }

  static constexpr int kSparseVectors = 8;
  /// Line i of sixteen numbers becomes column i: to + k * step is line k.
  static void transpose(const float* const (&line)[16], float* to, std::int64_t step) {
    __m512 a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = _mm512_loadu_ps(line[i]);
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    const auto pair = [](__m512 x, __m512 y, bool high) __attribute__((always_inline)) {
      const __m512d p = _mm512_castps_pd(x), q = _mm512_castps_pd(y);
      return _mm512_castpd_ps(high ? _mm512_unpackhi_pd(p, q) : _mm512_unpacklo_pd(p, q));
    };
      // a[4 * g + c]: of lines 4 * g to 4 * g + 3 the columns c, c + 4, c + 8, c + 12.
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
      a[i] = pair(b[i], b[i + 2], false);
      a[i + 1] = pair(b[i], b[i + 2], true);
      a[i + 2] = pair(b[i + 1], b[i + 3], false);
      a[i + 3] = pair(b[i + 1], b[i + 3], true);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      const __m512 lower = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88),
                   lower_odd = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
      const __m512 upper = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88),
                   upper_odd = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
      _mm512_storeu_ps(to + c * step, _mm512_shuffle_f32x4(lower, upper, 0x88));
      _mm512_storeu_ps(to + (c + 8) * step, _mm512_shuffle_f32x4(lower, upper, 0xdd));
      _mm512_storeu_ps(to + (c + 4) * step, _mm512_shuffle_f32x4(lower_odd, upper_odd, 0x88));
      _mm512_storeu_ps(to + (c + 12) * step, _mm512_shuffle_f32x4(lower_odd, upper_odd, 0xdd));
    }
  }
  static void store(float* out, Sum x, Mask mask) { _mm512_mask_storeu_ps(out, mask, x); }

  /// generic/activations.h says how. The reciprocal is an estimate of 14 bits and one step of Newton's.
  static Sum sigmoid(Sum x) {
    const __m512 limit = _mm512_set1_ps(kSigmoidLimit), magic = _mm512_set1_ps(kRoundToInteger);
    const __m512 log2e = _mm512_set1_ps(kLog2e), one = _mm512_set1_ps(1.f);
    // The operand order keeps a NaN.
    const __m512 limited = _mm512_min_ps(limit, _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), limit), x));
    const __m512 shifted = _mm512_fnmadd_ps(limited, log2e, magic);
    const __m512 rest = _mm512_fnmsub_ps(limited, log2e, _mm512_sub_ps(shifted, magic));
    __m512 power = _mm512_set1_ps(kPowersOf2[4]);
    for (int i = 3; i >= 0; --i) power = _mm512_fmadd_ps(power, rest, _mm512_set1_ps(kPowersOf2[i]));
    power = _mm512_fmadd_ps(power, rest, one);
    const __m512i scaled =
        _mm512_add_epi32(_mm512_castps_si512(power), _mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
    const __m512 divisor = _mm512_add_ps(one, _mm512_castsi512_ps(scaled));
    const __m512 guess = _mm512_rcp14_ps(divisor);
    return _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(divisor, guess, one), guess);
  }

  class Finish {
   public:
    Finish(const Clamp& clamp, const CodeLimits&, const LaneRescale*)
        : low_(_mm512_set1_ps(clamp.low)), high_(_mm512_set1_ps(clamp.high)) {}
    void store(Sum sum, float* out) const { _mm512_storeu_ps(out, value(sum)); }
    void store(Sum sum, float* out, Mask mask) const { _mm512_mask_storeu_ps(out, mask, value(sum)); }

   private:
    // The operand order keeps a NaN of the sum.
    __m512 value(Sum sum) const { return _mm512_min_ps(high_, _mm512_max_ps(low_, sum)); }

    __m512 low_, high_;
  };

  static void stage(float* to, const float* from, std::int64_t count, std::int32_t) {
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(to + i, _mm512_loadu_ps(from + i));
    const __mmask16 mask = first_lanes(count - i);
    _mm512_mask_storeu_ps(to + i, mask, _mm512_maskz_loadu_ps(mask, from + i));
  }
  static void fill(float* to, std::int64_t count, std::int32_t) {
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) _mm512_storeu_ps(to + i, _mm512_setzero_ps());
    _mm512_mask_storeu_ps(to + i, first_lanes(count - i), _mm512_setzero_ps());
  }

  // Dot products along the inputs.
  using DotSum = __m512;
  using DotElement = float;
  static constexpr int kDot = 16, kMaxOutputs = 12;
  static DotSum dot_zero() { return _mm512_setzero_ps(); }
  static __m512 dot_x(const float* x) { return _mm512_loadu_ps(x); }
  static __m512 dot_rest_x(const float* x, int rest) { return _mm512_maskz_loadu_ps(first_lanes(rest), x); }
  static __m512 dot_load(const float* weight) { return _mm512_loadu_ps(weight); }
  static void dot_add(DotSum& sum, __m512 weight, __m512 x) { sum = _mm512_fmadd_ps(weight, x, sum); }
  static float total(DotSum sum) { return _mm512_reduce_add_ps(sum); }
  static void add_totals(Sum& sum, const float* totals) { sum = _mm512_add_ps(sum, _mm512_loadu_ps(totals)); }

  /// Brings sums of a chunk of codes, whose quarters hold a piece of each, in order.
  static void order(Sum (&sum)[4]) {
    const __m512 a = _mm512_shuffle_f32x4(sum[0], sum[1], 0x44),
                 b = _mm512_shuffle_f32x4(sum[2], sum[3], 0x44);
    const __m512 c = _mm512_shuffle_f32x4(sum[0], sum[1], 0xee),
                 d = _mm512_shuffle_f32x4(sum[2], sum[3], 0xee);
    sum[0] = _mm512_shuffle_f32x4(a, b, 0x88);
    sum[1] = _mm512_shuffle_f32x4(a, b, 0xdd);
    sum[2] = _mm512_shuffle_f32x4(c, d, 0x88);
    sum[3] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
};

/// Floats whose weights are stored in half precision: widened as they are loaded, which is exact.
struct Half : F32 {
  using WeightElement = std::uint16_t;
  static Weight load(const std::uint16_t* weight) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(weight)));
  }
  using DotElement = std::uint16_t;
  static __m512 dot_load(const std::uint16_t* weight) { return load(weight); }
};

}  // namespace
}  // namespace lathe::runtime
