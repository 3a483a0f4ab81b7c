#pragma once

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
};

/// sum += four products of unsigned and signed bytes a lane. As assembly because GCC 12 gives the result of
/// the intrinsic a register of its own and copies the sums back and forth, at half the speed.
inline void multiply_add(__m512i& sum, __m512i bytes, __m512i weight) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weight));
}
/// sum += two products of 16-bit numbers a lane.
inline void multiply_add_words(__m512i& sum, __m512i words, __m512i weight) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(words), "v"(weight));
}

/// What sums of both kinds of codes share: sixteen 32-bit accumulators.
template <typename Code>
struct Integers {
  using Mask = __mmask16;
  static Mask mask(std::int32_t lanes) { return first_lanes(lanes); }
  using In = Code;
  using Out = Code;
  using Sum = __m512i;
  using SumElement = std::int32_t;
  using Scaling = LaneRescale;
  using Weight = __m512i;
  using Pixel = __m512i;
  static constexpr int kMaxTile = 12, kMaxPoolTile = 3, kMaxBlocks = 2, kPatchTile = 14, kPatchPoolTile = 4;

  static Sum start(const void* bias) { return _mm512_loadu_si512(bias); }
  static Weight load(const void* weight) { return _mm512_loadu_si512(weight); }
  static Pixel broadcast(const void* x) {
    std::int32_t group;
    __builtin_memcpy(&group, x, 4);
    return _mm512_set1_epi32(group);
  }
  static Pixel load_x(const std::int32_t* cells) { return _mm512_loadu_si512(cells); }
  static Sum max(Sum a, Sum b) { return _mm512_max_epi32(a, b); }
  static __m512 real(Sum sum) { return _mm512_cvtepi32_ps(sum); }

  /// packed.h, LaneRescale.
  class Finish {
   public:
    Finish(const Clamp&, const CodeLimits& limits, const LaneRescale* rescale)
        : multiplier_(_mm512_loadu_si512(rescale->multiplier)),
          odd_multiplier_(_mm512_srli_epi64(multiplier_, 32)),
          even_offset_(_mm512_loadu_si512(rescale->even_offset)),
          odd_offset_(_mm512_loadu_si512(rescale->odd_offset)),
          shift_(_mm512_loadu_si512(rescale->shift)),
          low_(_mm512_set1_epi32(limits.low)),
          high_(_mm512_set1_epi32(limits.high)),
          negative_(limits.negative),
          clamped_(limits.low > kSmallest || limits.high < -kSmallest - 1) {}

    void store(Sum sum, Code* out) const { store(sum, out, 0xffff); }
    void store(Sum sum, Code* out, Mask mask) const {
      if constexpr (sizeof(Code) == 1) {
        _mm_mask_storeu_epi8(out, mask, _mm512_cvtsepi32_epi8(value(sum)));
      } else {
        _mm256_mask_storeu_epi16(out, mask, _mm512_cvtsepi32_epi16(value(sum)));
      }
    }

   private:
    static constexpr std::int32_t kSmallest = sizeof(Code) == 1 ? -128 : -32768;

    /// The code, not yet saturated when there are no limits.
    __m512i value(Sum sum) const {
      const __m512i odd_sum = _mm512_srli_epi64(sum, 32);
      __m512i even = _mm512_add_epi64(_mm512_mul_epi32(sum, multiplier_), even_offset_);
      __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_sum, odd_multiplier_), odd_offset_);
      if (negative_) {
        const __m512i term = _mm512_set1_epi64(kNegativeTerm<Code>);
        even = _mm512_mask_sub_epi64(even, _mm512_movepi64_mask(_mm512_slli_epi64(sum, 32)), even, term);
        odd = _mm512_mask_sub_epi64(odd, _mm512_movepi64_mask(sum), odd, term);
      }
      const __m512i upper = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
      const __m512i codes = _mm512_srav_epi32(upper, shift_);
      return clamped_ ? _mm512_min_epi32(_mm512_max_epi32(codes, low_), high_) : codes;
    }

    __m512i multiplier_, odd_multiplier_, even_offset_, odd_offset_, shift_, low_, high_;
    bool negative_, clamped_;
  };

  // Dot products along the inputs.
  using DotSum = __m512i;
  static constexpr int kMaxOutputs = 12;
  static DotSum dot_zero() { return _mm512_setzero_si512(); }
  static __m512i dot_load(const void* weight) { return _mm512_loadu_si512(weight); }
  static void add_totals(Sum& sum, const std::int32_t* totals) {
    sum = _mm512_add_epi32(sum, _mm512_loadu_si512(totals));
  }
};

/// Inputs as unsigned bytes, code + 128, four to a lane (VNNI). The bias makes up for the 128 and the zero
/// point.
struct I8 : Integers<std::int8_t> {
  using Element = std::uint8_t;
  using WeightElement = std::int8_t;
  static constexpr int kStep = 4;
  static constexpr bool kAlwaysStaged = true;
  static void add(Sum& sum, Weight weight, Pixel x) { multiply_add(sum, x, weight); }

  static void stage(std::uint8_t* to, const std::int8_t* from, std::int64_t count, std::int32_t) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    std::int64_t i = 0;
    for (; i + 64 <= count; i += 64)
      _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), flip));
    const __mmask64 mask = first_bytes(count - i);
    _mm512_mask_storeu_epi8(to + i, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, from + i), flip));
  }
  static void fill(std::uint8_t* to, std::int64_t count, std::int32_t zero_point) {
    const __m512i value = _mm512_set1_epi8(static_cast<char>(zero_point ^ 0x80));
    for (std::int64_t i = 0; i < count; i += 64)
      _mm512_mask_storeu_epi8(to + i, first_bytes(count - i), value);
  }

  // Depthwise: cells of four bytes.
  static void fill_cells(std::int32_t* to, std::int64_t count, std::int32_t zero_point) {
    const __m512i value = _mm512_set1_epi8(static_cast<char>(zero_point ^ 0x80));
    for (std::int64_t i = 0; i < count; i += 16)
      _mm512_mask_storeu_epi32(to + i, first_lanes(count - i), value);
  }
  static void interleave(std::int32_t* to, const std::int8_t* const lines[4], std::int64_t count,
                         std::int32_t) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    // Unpacking works within quarters of a register; in this order of the source the cells come out in
    // sequence.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (std::int64_t i = 0; i < count; i += 64) {
      const std::int64_t left = count - i;
      const auto line = [&](int which) {
        const __m512i codes = _mm512_maskz_loadu_epi8(first_bytes(left), lines[which] + i);
        return _mm512_xor_si512(_mm512_permutexvar_epi32(order, codes), flip);
      };
      const __m512i a = line(0), b = line(1), c = line(2), d = line(3);
      const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
      const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
      const auto store = [&](std::int64_t at, __m512i cells) {
        _mm512_mask_storeu_epi32(to + i + at, first_lanes(left - at), cells);
      };
      store(0, _mm512_unpacklo_epi16(ab_low, cd_low));
      store(16, _mm512_unpackhi_epi16(ab_low, cd_low));
      store(32, _mm512_unpacklo_epi16(ab_high, cd_high));
      store(48, _mm512_unpackhi_epi16(ab_high, cd_high));
    }
  }

  static void add_codes(Sum& sum, const std::int8_t* x, std::int32_t lanes) {
    sum = _mm512_add_epi32(sum, _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first_lanes(lanes), x)));
  }

  using DotElement = std::int8_t;
  static constexpr int kDot = 64;
  static __m512i dot_x(const std::int8_t* x) {
    return _mm512_xor_si512(_mm512_loadu_si512(x), _mm512_set1_epi8(static_cast<char>(0x80)));
  }
  static __m512i dot_rest_x(const std::int8_t* x, int rest) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(first_bytes(rest), x),
                            flip);  // other lanes: weights are 0
  }
  static void dot_add(DotSum& sum, __m512i weight, __m512i x) { multiply_add(sum, x, weight); }
  static std::int32_t total(DotSum sum) { return _mm512_reduce_add_epi32(sum); }
};

/// 16-bit codes, two to a lane (VNNI).
struct I16 : Integers<std::int16_t> {
  using Element = std::int16_t;
  using WeightElement = std::int16_t;
  static constexpr int kStep = 2;
  static constexpr bool kAlwaysStaged = false;
  static void add(Sum& sum, Weight weight, Pixel x) { multiply_add_words(sum, x, weight); }

  static void stage(std::int16_t* to, const std::int16_t* from, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 32) {
      const __mmask32 mask = first_words(count - i);
      _mm512_mask_storeu_epi16(to + i, mask, _mm512_maskz_loadu_epi16(mask, from + i));
    }
  }
  static void fill(std::int16_t* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 32)
      _mm512_mask_storeu_epi16(to + i, first_words(count - i), _mm512_setzero_si512());
  }

  // Depthwise: cells of two codes.
  static void fill_cells(std::int32_t* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 16)
      _mm512_mask_storeu_epi32(to + i, first_lanes(count - i), _mm512_setzero_si512());
  }
  static void interleave(std::int32_t* to, const std::int16_t* const lines[2], std::int64_t count,
                         std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 16) {
      const __mmask16 mask = first_lanes(count - i);
      const __m512i first = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, lines[0] + i));
      const __m512i second = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, lines[1] + i));
      _mm512_mask_storeu_epi32(to + i, mask, _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
    }
  }

  static void add_codes(Sum& sum, const std::int16_t* x, std::int32_t lanes) {
    sum = _mm512_add_epi32(sum, _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(first_lanes(lanes), x)));
  }

  /// The first lanes of sixteen numbers within 16 bits.
  static void store_words(const std::int32_t* words, std::int16_t* out, Mask mask) {
    _mm256_mask_storeu_epi16(out, mask, _mm512_cvtepi32_epi16(_mm512_loadu_si512(words)));
  }

  // Weights of linear layers stay bytes: they are read once, mostly from the second-level cache.
  using DotElement = std::int8_t;
  static constexpr int kDot = 32;
  static __m512i dot_x(const std::int16_t* x) { return _mm512_loadu_si512(x); }
  static __m512i dot_rest_x(const std::int16_t* x, int rest) {
    return _mm512_maskz_loadu_epi16(first_words(rest), x);
  }
  static __m512i dot_load(const std::int8_t* weight) {
    return _mm512_cvtepi8_epi16(
        _mm256_loadu_si256(static_cast<const __m256i*>(static_cast<const void*>(weight))));
  }
  static void dot_add(DotSum& sum, __m512i weight, __m512i x) { multiply_add_words(sum, x, weight); }
  static std::int64_t total(DotSum sum) {
    return _mm512_reduce_add_epi64(
        _mm512_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(sum)),
                         _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sum, 1))));
  }
};

}  // namespace
}  // namespace lathe::runtime
