#pragma once

#include "floats.h"

/// Vectors of 8-bit and 16-bit codes with AVX-512.
namespace lathe::runtime {
namespace {

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
  static constexpr bool kRealRescaling = sizeof(Code) == 1;
  static constexpr int kMaxTile = 12, kMaxPoolTile = 3, kMaxBlocks = 2, kPatchTile = 14, kPatchPoolTile = 4;

  static Sum start(const void* bias) { return _mm512_loadu_si512(bias); }
  static Weight load(const void* weight) { return _mm512_loadu_si512(weight); }
  static Pixel broadcast(const void* x) {
    std::int32_t group;
    __builtin_memcpy(&group, x, 4);
    return _mm512_set1_epi32(group);
  }
  static Sum max(Sum a, Sum b) { return _mm512_max_epi32(a, b); }
  static Sum times(Sum a, Sum b) { return _mm512_mullo_epi32(a, b); }
  static Sum plus(Sum a, Sum b) { return _mm512_add_epi32(a, b); }
  static Sum rescaled(Sum sum, const LaneRescale& lanes) { return code<Rescaling::negative>(sum, lanes); }
  static __m512 real(Sum sum) { return _mm512_cvtepi32_ps(sum); }

  /// packed.h, LaneRescale: the code, saturated when it is packed.
  template <Rescaling kHow>
  static __m512i code(Sum sum, const LaneRescale& lanes) {
    if constexpr (kHow >= Rescaling::two_sided) {
      const __m512 factor = _mm512_loadu_ps(lanes.factor);
      __m512 offset = _mm512_loadu_ps(lanes.offset);
      if constexpr (kHow == Rescaling::two_sided)
        offset = _mm512_mask_loadu_ps(offset, _mm512_movepi32_mask(sum), lanes.below);
      const __m512i codes = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, offset));
      if constexpr (kHow == Rescaling::real) return codes;
      const __mmask16 exceptional = _mm512_cmpeq_epi32_mask(sum, _mm512_loadu_si512(lanes.exception));
      return _mm512_mask_add_epi32(codes, exceptional, codes, _mm512_loadu_si512(lanes.delta));
    }
    return fixed(sum, _mm512_loadu_si512(lanes.multiplier), _mm512_loadu_si512(lanes.odd_multiplier),
                 _mm512_loadu_si512(lanes.even_offset), _mm512_loadu_si512(lanes.odd_offset),
                 _mm512_loadu_si512(lanes.shift), kHow == Rescaling::negative);
  }
  static __m512i fixed(Sum sum, __m512i multiplier, __m512i odd_multiplier, __m512i even_offset,
                       __m512i odd_offset, __m512i shift, bool negative) {
    const __m512i odd_sum = _mm512_srli_epi64(sum, 32);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(sum, multiplier), even_offset);
    __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_sum, odd_multiplier), odd_offset);
    if (negative) {
      const __m512i term = _mm512_set1_epi64(kNegativeTerm<Code>);
      even = _mm512_mask_sub_epi64(even, _mm512_movepi64_mask(_mm512_slli_epi64(sum, 32)), even, term);
      odd = _mm512_mask_sub_epi64(odd, _mm512_movepi64_mask(sum), odd, term);
    }
    return _mm512_srav_epi32(_mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB), shift);
  }

  static __m512i all(std::int32_t code) {
    return sizeof(Code) == 1 ? _mm512_set1_epi8(static_cast<char>(code))
                             : _mm512_set1_epi16(static_cast<std::int16_t>(code));
  }
  /// How up to four output columns of a block are stored, `step` elements apart: 8-bit codes from floats.
  template <bool kTwoSided>
  struct Columns {
    __m512 factor, offset, below;
    __m512i exception, delta, low, high, order;
    std::int64_t step;
    Mask mask;
    int dense;  ///< pieces of 4 lanes when columns touch each other, else 0

    Columns(const CodeLimits& limits, const LaneRescale* rescale, std::int64_t out_step, int lanes)
        : factor(_mm512_loadu_ps(rescale->factor)),
          offset(_mm512_loadu_ps(rescale->offset)),
          below(_mm512_loadu_ps(rescale->below)),
          exception(_mm512_loadu_si512(rescale->exception)),
          delta(_mm512_loadu_si512(rescale->delta)),
          low(all(limits.low)),
          high(all(limits.high)),
          step(out_step),
          mask(first_lanes(lanes)),
          dense(out_step == lanes && lanes % 4 == 0 ? lanes / 4 : 0) {
      // Piece q of column c is in part c of quarter q.
      alignas(64) static constexpr std::int32_t kOrder[4][16] = {
          {0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
          {0, 4, 1, 5, 2, 6, 3, 7, 0, 0, 0, 0, 0, 0, 0, 0},
          {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, 0, 0, 0, 0},
          {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}};
      order = _mm512_load_si512(kOrder[dense > 0 ? dense - 1 : 3]);
    }

    __attribute__((always_inline)) __m512i scaled(Sum sum) const {
      const __m512 add = kTwoSided ? _mm512_mask_mov_ps(offset, _mm512_movepi32_mask(sum), below) : offset;
      const __m512i codes = _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, add));
      return _mm512_mask_add_epi32(codes, _mm512_cmpeq_epi32_mask(sum, exception), codes, delta);
    }

    template <int kColumns>
    __attribute__((always_inline)) void store(Sum a, Sum b, Sum c, Sum d, Code* out) const {
      const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(scaled(a), scaled(b)),
                                                _mm512_packs_epi32(scaled(c), scaled(d)));
      const __m512i limited = _mm512_min_epi8(_mm512_max_epi8(packed, low), high);
      const __m512i codes = _mm512_permutexvar_epi32(order, limited);
      if (dense > 0) return _mm512_mask_storeu_epi32(out, first_lanes(kColumns * dense), codes);
      _mm_mask_storeu_epi8(out, mask, _mm512_castsi512_si128(codes));
      if constexpr (kColumns > 1) _mm_mask_storeu_epi8(out + step, mask, _mm512_extracti32x4_epi32(codes, 1));
      if constexpr (kColumns > 2)
        _mm_mask_storeu_epi8(out + 2 * step, mask, _mm512_extracti32x4_epi32(codes, 2));
      if constexpr (kColumns > 3)
        _mm_mask_storeu_epi8(out + 3 * step, mask, _mm512_extracti32x4_epi32(codes, 3));
    }
  };

  class Finish {
   public:
    Finish(const Clamp&, const CodeLimits& limits, const LaneRescale* rescale)
        : multiplier_(_mm512_loadu_si512(rescale->multiplier)),
          odd_multiplier_(_mm512_loadu_si512(rescale->odd_multiplier)),
          even_offset_(_mm512_loadu_si512(rescale->even_offset)),
          odd_offset_(_mm512_loadu_si512(rescale->odd_offset)),
          shift_(_mm512_loadu_si512(rescale->shift)),
          low_(all(limits.low)),
          high_(all(limits.high)),
          rescale_(rescale),
          how_(limits.rescaling) {}

    void store(Sum sum, Code* out) const { store(sum, out, 0xffff); }
    void store(Sum sum, Code* out, Mask mask) const {
      if constexpr (sizeof(Code) == 1) {
        const __m128i low = _mm512_castsi512_si128(low_), high = _mm512_castsi512_si128(high_);
        const __m128i codes = _mm512_cvtsepi32_epi8(value(sum));
        _mm_mask_storeu_epi8(out, mask, _mm_min_epi8(_mm_max_epi8(codes, low), high));
      } else {
        const __m256i low = _mm512_castsi512_si256(low_), high = _mm512_castsi512_si256(high_);
        const __m256i codes = _mm512_cvtsepi32_epi16(value(sum));
        _mm256_mask_storeu_epi16(out, mask, _mm256_min_epi16(_mm256_max_epi16(codes, low), high));
      }
    }

   private:
    __m512i value(Sum sum) const {
      if constexpr (sizeof(Code) == 1) {
        if (how_ >= Rescaling::exceptions) return code<Rescaling::exceptions>(sum, *rescale_);
        if (how_ == Rescaling::two_sided) return code<Rescaling::two_sided>(sum, *rescale_);
      }
      return fixed(sum, multiplier_, odd_multiplier_, even_offset_, odd_offset_, shift_,
                   how_ == Rescaling::negative);
    }

    __m512i multiplier_, odd_multiplier_, even_offset_, odd_offset_, shift_, low_, high_;
    const LaneRescale* rescale_;
    Rescaling how_;
  };

  // Depthwise: a register of codes, in quarters of 16 bytes.
  static constexpr int kChunk = 64 / sizeof(Code), kParts = 4, kSums = kChunk / kLanes;
  /// kHow: what limits.rescaling says where that is floats, else fixed.
  template <Rescaling kHow>
  static void store_chunk(const Sum (&sum)[kSums], const Clamp&, const CodeLimits& limits,
                          const LaneRescale* rescale, Code* out, std::int64_t lanes) {
    const auto packed = [&](int first) __attribute__((always_inline)) {
      const LaneRescale *a = rescale + first, *b = a + 1;
      if constexpr (kHow >= Rescaling::two_sided) {
        return _mm512_packs_epi32(code<kHow>(sum[first], *a), code<kHow>(sum[first + 1], *b));
      } else {
        return limits.rescaling == Rescaling::fixed
                   ? _mm512_packs_epi32(code<Rescaling::fixed>(sum[first], *a),
                                        code<Rescaling::fixed>(sum[first + 1], *b))
                   : _mm512_packs_epi32(code<Rescaling::negative>(sum[first], *a),
                                        code<Rescaling::negative>(sum[first + 1], *b));
      }
    };
    __m512i codes = packed(0);
    const __m512i low = all(limits.low), high = all(limits.high);
    if constexpr (sizeof(Code) == 1) {
      codes = _mm512_packs_epi16(codes, packed(2));
      codes = _mm512_min_epi8(_mm512_max_epi8(codes, low), high);
      if (lanes >= kChunk) return _mm512_storeu_si512(out, codes);
      _mm512_mask_storeu_epi8(out, first_bytes(lanes), codes);
    } else {
      codes = _mm512_min_epi16(_mm512_max_epi16(codes, low), high);
      if (lanes >= kChunk) return _mm512_storeu_si512(out, codes);
      _mm512_mask_storeu_epi16(out, first_words(lanes), codes);
    }
  }

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
  static constexpr bool kAlwaysStaged = true, kFourColumns = true;
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

  static void stage_loose(std::uint8_t* to, const std::int8_t* from, std::int64_t count, std::int32_t) {
    const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
    for (std::int64_t i = 0; i < count; i += 64)
      _mm512_storeu_si512(to + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), flip));
  }
  static void fill_loose(std::uint8_t* to, std::int64_t count, std::int32_t zero_point) {
    const __m512i value = _mm512_set1_epi8(static_cast<char>(zero_point ^ 0x80));
    for (std::int64_t i = 0; i < count; i += 64) _mm512_storeu_si512(to + i, value);
  }
  static void stage_columns(std::uint8_t* to, const std::int8_t* from, std::int64_t channels,
                            std::int64_t count, std::int64_t step, std::int32_t) {
    if (channels == 16 && step == 32) {
      const __m512i all = _mm512_set1_epi8(static_cast<char>(0x80));
      const __m512i every_other = _mm512_setr_epi64(0, 1, 4, 5, 8, 9, 12, 13);
      for (; count >= 3; count -= 4, to += 64, from += 128)
        _mm512_storeu_si512(
            to, _mm512_xor_si512(all, _mm512_permutex2var_epi64(_mm512_loadu_si512(from), every_other,
                                                                _mm512_loadu_si512(from + 64))));
    }
    if (channels <= 16) {
      const __m128i flip = _mm_set1_epi8(static_cast<char>(0x80));
      for (; count > 0; --count, to += channels, from += step)
        _mm_storeu_si128(
            static_cast<__m128i*>(static_cast<void*>(to)),
            _mm_xor_si128(_mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(from))),
                          flip));
      return;
    }
    for (; count > 0; --count, to += channels, from += step) stage_loose(to, from, channels, 0);
  }

  /// Unpacking works within quarters of a register.
  static void cells(const std::uint8_t* x, std::int64_t step, Pixel (&cell)[kSums]) {
    const __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + step);
    const __m512i c = _mm512_loadu_si512(x + 2 * step), d = _mm512_loadu_si512(x + 3 * step);
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    cell[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
    cell[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
    cell[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
    cell[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
  }
  static void add_from(Sum& sum, const std::int8_t* weight, Pixel x) {
    __asm__("vpdpbusd %2, %1, %0"
            : "+v"(sum)
            : "v"(x), "m"(*static_cast<const __m512i*>(static_cast<const void*>(weight))));
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

  static void stage_loose(std::int16_t* to, const std::int16_t* from, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 32) _mm512_storeu_si512(to + i, _mm512_loadu_si512(from + i));
  }
  static void fill_loose(std::int16_t* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 32) _mm512_storeu_si512(to + i, _mm512_setzero_si512());
  }
  static void stage_columns(std::int16_t* to, const std::int16_t* from, std::int64_t channels,
                            std::int64_t count, std::int64_t step, std::int32_t) {
    for (; count > 0; --count, to += channels, from += step) stage_loose(to, from, channels, 0);
  }

  /// Unpacking works within quarters of a register.
  static void cells(const std::int16_t* x, std::int64_t step, Pixel (&cell)[kSums]) {
    const __m512i a = _mm512_loadu_si512(x), b = _mm512_loadu_si512(x + step);
    cell[0] = _mm512_unpacklo_epi16(a, b);
    cell[1] = _mm512_unpackhi_epi16(a, b);
  }
  static void add_from(Sum& sum, const std::int16_t* weight, Pixel x) {
    __asm__("vpdpwssd %2, %1, %0"
            : "+v"(sum)
            : "v"(x), "m"(*static_cast<const __m512i*>(static_cast<const void*>(weight))));
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
