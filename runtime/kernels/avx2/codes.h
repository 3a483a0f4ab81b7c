#pragma once

#include "floats.h"

/// Vectors of 8-bit and 16-bit codes with AVX2.
namespace lathe::runtime {
namespace {

/// Sixteen codes as 16-bit numbers.
inline __m256i widen(const std::int8_t* x) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
inline __m256i widen(const std::int16_t* x) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
}

/// Stores the first `lanes` of sixteen 16-bit numbers as codes.
inline void store_codes(__m256i words, std::int8_t* out, std::int32_t lanes) {
  store_bytes(_mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)), out, lanes);
}
inline void store_codes(__m256i words, std::int16_t* out, std::int32_t lanes) {
  if (lanes >= kLanes) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), words);
  auto* bytes = reinterpret_cast<std::int8_t*>(out);
  store_bytes(_mm256_castsi256_si128(words), bytes, 2 * lanes);
  if (lanes > 8) store_bytes(_mm256_extracti128_si256(words, 1), bytes + 16, 2 * lanes - 16);
}

/// Inputs as 16-bit numbers, code - zero point, two to a lane.
template <typename Code>
struct Words {
  using Mask = std::int32_t;  ///< how many lanes exist
  static Mask mask(std::int32_t lanes) { return lanes; }
  struct Pair {
    __m256i a, b;
  };
  using In = Code;
  using Element = std::int16_t;
  using Out = Code;
  using Sum = Pair;
  using SumElement = std::int32_t;
  using Scaling = LaneRescale;
  using Weight = Pair;
  using WeightElement = std::int16_t;
  using Pixel = Pair;
  static constexpr int kStep = 2, kMaxTile = 6, kMaxPoolTile = 1, kMaxBlocks = 1, kPatchTile = 0,
                       kPatchPoolTile = 0;
  static constexpr bool kAlwaysStaged = sizeof(Code) == 1, kRealRescaling = sizeof(Code) == 1;

  static Pair load_pair(const void* data) {
    const auto* from = static_cast<const __m256i*>(data);
    return {_mm256_loadu_si256(from), _mm256_loadu_si256(from + 1)};
  }
  static Sum start(const void* bias) { return load_pair(bias); }
  static Weight load(const std::int16_t* weight) { return load_pair(weight); }
  static Pixel broadcast(const std::int16_t* x) {
    std::int32_t two;
    __builtin_memcpy(&two, x, 4);
    const __m256i value = _mm256_set1_epi32(two);
    return {value, value};
  }
  static void add(Sum& sum, Weight weight, Pixel x) {
    sum.a = _mm256_add_epi32(sum.a, _mm256_madd_epi16(weight.a, x.a));
    sum.b = _mm256_add_epi32(sum.b, _mm256_madd_epi16(weight.b, x.b));
  }
  static Sum max(Sum a, Sum b) { return {_mm256_max_epi32(a.a, b.a), _mm256_max_epi32(a.b, b.b)}; }
  static Sum times(Sum a, Sum b) { return {_mm256_mullo_epi32(a.a, b.a), _mm256_mullo_epi32(a.b, b.b)}; }
  static Sum plus(Sum a, Sum b) { return {_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)}; }
  static Sum rescaled(Sum sum, const LaneRescale& lanes) {
    const Finish finish({}, {}, &lanes);
    return {finish.half(sum.a, 0), finish.half(sum.b, 1)};
  }
  static F32::Sum real(Sum sum) { return {_mm256_cvtepi32_ps(sum.a), _mm256_cvtepi32_ps(sum.b)}; }

  /// packed.h, LaneRescale.
  class Finish {
   public:
    Finish(const Clamp&, const CodeLimits& limits, const LaneRescale* rescale)
        : rescale_(rescale),
          low_(_mm256_set1_epi16(static_cast<std::int16_t>(limits.low))),
          high_(_mm256_set1_epi16(static_cast<std::int16_t>(limits.high))),
          negative_(limits.rescaling == Rescaling::negative ? kNegativeTerm<Code> : 0),
          rescaling_(limits.rescaling) {}

    void store(Sum sum, Code* out) const { store(sum, out, kLanes); }
    void store(Sum sum, Code* out, Mask lanes) const {
      store_codes(_mm256_permute4x64_epi64(value(sum), 0xd8), out, lanes);
    }
    /// The codes, in each half four of one half of the sum and four of the other.
    __m256i value(Sum sum) const {
      const bool real = kRealRescaling && rescaling_ >= Rescaling::two_sided;
      const __m256i codes = real ? _mm256_packs_epi32(real_half(sum.a, 0), real_half(sum.b, 1))
                                 : _mm256_packs_epi32(half(sum.a, 0), half(sum.b, 1));
      return _mm256_min_epi16(_mm256_max_epi16(codes, low_), high_);
    }

    /// Half `which` of the lanes, by fixed point.
    __m256i half(__m256i sum, int which) const {
      const __m256i multiplier = at(rescale_->multiplier, which);
      const __m256i odd_sum = _mm256_srli_epi64(sum, 32), odd_multiplier = _mm256_srli_epi64(multiplier, 32);
      __m256i even = _mm256_add_epi64(_mm256_mul_epi32(sum, multiplier), at(rescale_->even_offset, which));
      __m256i odd =
          _mm256_add_epi64(_mm256_mul_epi32(odd_sum, odd_multiplier), at(rescale_->odd_offset, which));
      const __m256i zero = _mm256_setzero_si256(), term = _mm256_set1_epi64x(negative_);
      const __m256i even_negative = _mm256_cmpgt_epi64(zero, _mm256_slli_epi64(sum, 32));
      even = _mm256_sub_epi64(even, _mm256_and_si256(even_negative, term));
      odd = _mm256_sub_epi64(odd, _mm256_and_si256(_mm256_cmpgt_epi64(zero, sum), term));
      const __m256i upper = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
      return _mm256_srav_epi32(upper, at(rescale_->shift, which));
    }

   private:
    static __m256i at(const void* data, int which) {
      return _mm256_loadu_si256(static_cast<const __m256i*>(data) + which);
    }

    __m256i real_half(__m256i sum, int which) const {
      const __m256 factor = _mm256_loadu_ps(rescale_->factor + 8 * which);
      __m256 offset = _mm256_loadu_ps(rescale_->offset + 8 * which);
      if (rescaling_ == Rescaling::two_sided)
        offset =
            _mm256_blendv_ps(offset, _mm256_loadu_ps(rescale_->below + 8 * which), _mm256_castsi256_ps(sum));
      const __m256i codes = _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor, offset));
      if (rescaling_ == Rescaling::real) return codes;
      const __m256i exceptional = _mm256_cmpeq_epi32(sum, at(rescale_->exception, which));
      return _mm256_add_epi32(codes, _mm256_and_si256(exceptional, at(rescale_->delta, which)));
    }

    const LaneRescale* rescale_;
    __m256i low_, high_;
    std::int64_t negative_;
    Rescaling rescaling_;
  };

  static void stage(std::int16_t* to, const Code* from, std::int64_t count, std::int32_t zero_point) {
    const __m256i shift = _mm256_set1_epi16(static_cast<std::int16_t>(zero_point));
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_sub_epi16(widen(from + i), shift));
    for (; i < count; ++i) to[i] = static_cast<std::int16_t>(from[i] - zero_point);
  }
  static void fill(std::int16_t* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
  }

  // Depthwise: a register of 16-bit numbers, in halves.
  static constexpr int kChunk = kLanes, kParts = 2, kSums = 1;
  static void stage_loose(std::int16_t* to, const Code* from, std::int64_t count, std::int32_t zero_point) {
    const __m256i shift = _mm256_set1_epi16(static_cast<std::int16_t>(zero_point));
    for (std::int64_t i = 0; i < count; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_sub_epi16(widen(from + i), shift));
  }
  static void fill_loose(std::int16_t* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; i += 16)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_setzero_si256());
  }
  static void stage_columns(std::int16_t* to, const Code* from, std::int64_t channels, std::int64_t count,
                            std::int64_t step, std::int32_t zero_point) {
    for (; count > 0; --count, to += channels, from += step) stage_loose(to, from, channels, zero_point);
  }
  static void cells(const std::int16_t* x, std::int64_t step, Pixel (&cell)[kSums]) {
    const __m256i a = widen(x), b = widen(x + step);
    cell[0] = {_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)};
  }
  static void add_from(Sum& sum, const std::int16_t* weight, Pixel x) { add(sum, load(weight), x); }
  template <Rescaling>
  static void store_chunk(const Sum (&sum)[kSums], const Clamp& clamp, const CodeLimits& limits,
                          const LaneRescale* rescale, Code* out, std::int64_t lanes) {
    store_codes(Finish(clamp, limits, rescale).value(sum[0]), out,
                static_cast<std::int32_t>(lanes < kLanes ? lanes : kLanes));
  }

  static void add_codes(Sum& sum, const Code* x, std::int32_t) {
    const __m256i codes = widen(x);
    sum.a = _mm256_add_epi32(sum.a, _mm256_cvtepi16_epi32(_mm256_castsi256_si128(codes)));
    sum.b = _mm256_add_epi32(sum.b, _mm256_cvtepi16_epi32(_mm256_extracti128_si256(codes, 1)));
  }

  /// The first `lanes` of sixteen numbers within 16 bits.
  static void store_words(const std::int32_t* words, Code* out, Mask lanes) {
    const Pair both = load_pair(words);
    store_codes(_mm256_permute4x64_epi64(_mm256_packs_epi32(both.a, both.b), 0xd8), out, lanes);
  }

  // Dot products along the inputs, of the codes as they are: the bias makes up for the zero point.
  using DotSum = __m256i;
  using DotElement = std::int8_t;
  static constexpr int kDot = 16, kMaxOutputs = 10;
  static DotSum dot_zero() { return _mm256_setzero_si256(); }
  static __m256i dot_x(const Code* x) { return widen(x); }
  static __m256i dot_rest_x(const Code* x, int) { return widen(x); }  // other lanes: weights are 0
  static __m256i dot_load(const std::int8_t* weight) { return widen(weight); }
  static void dot_add(DotSum& sum, __m256i weight, __m256i x) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(weight, x));
  }
  /// Sums of 8-bit codes fit into 32 bits, those of 16-bit codes only lane by lane.
  static auto total(DotSum sum) {
    if constexpr (sizeof(Code) == 1) {
      __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
      half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
      return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
    } else {
      const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum)),
                                            _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sum, 1)));
      const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
      return std::int64_t{_mm_cvtsi128_si64(half) + _mm_extract_epi64(half, 1)};
    }
  }
  static void add_totals(Sum& sum, const std::int32_t* totals) {
    const Pair more = load_pair(totals);
    sum.a = _mm256_add_epi32(sum.a, more.a);
    sum.b = _mm256_add_epi32(sum.b, more.b);
  }
};

using I8 = Words<std::int8_t>;
using I16 = Words<std::int16_t>;

/// As fixed_point.h, to_code: clamp (a NaN becomes the lower limit), round half away from zero, add the zero
/// point.
inline void quantize_f32_i8(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const Quantization8*>(call.params);
  const float* x = static_cast<const float*>(call.input);
  std::int8_t* out = static_cast<std::int8_t*>(call.output);
  const __m256 inverse = _mm256_set1_ps(p.inverse_scale), one = _mm256_set1_ps(1),
               half = _mm256_set1_ps(0.5f);
  const __m256 low = _mm256_set1_ps(static_cast<float>(-128 - p.zero_point));
  const __m256 high = _mm256_set1_ps(static_cast<float>(127 - p.zero_point));
  const __m256i zero_point = _mm256_set1_epi32(p.zero_point);
  for (std::int64_t i = elements.begin; i < elements.end; i += 8) {
    const std::int64_t left = elements.end - i;
    const std::int32_t lanes = left < 8 ? static_cast<std::int32_t>(left) : 8;
    const __m256 scaled = _mm256_mul_ps(_mm256_maskload_ps(x + i, first_lanes(lanes)), inverse);
    const __m256 value = _mm256_min_ps(_mm256_max_ps(scaled, low), high);
    const __m256 whole = _mm256_round_ps(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256 rest = _mm256_sub_ps(value, whole);
    const __m256 up = _mm256_and_ps(_mm256_cmp_ps(rest, half, _CMP_GE_OQ), one);
    const __m256 down = _mm256_and_ps(_mm256_cmp_ps(rest, _mm256_set1_ps(-0.5f), _CMP_LE_OQ), one);
    const __m256 rounded = _mm256_sub_ps(_mm256_add_ps(whole, up), down);
    const __m256i codes = _mm256_add_epi32(_mm256_cvtps_epi32(rounded), zero_point);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
    store_bytes(_mm_packs_epi16(words, words), out + i, lanes);
  }
}

}  // namespace
}  // namespace lathe::runtime
