#pragma once

#include "../generic/powers.h"
#include "../packed.h"

#include <immintrin.h>

/// What the kernels of kernels/generic need of AVX2 and FMA: sixteen lanes are two registers.
namespace lathe::runtime {
namespace {

/// All bits set in the first `lanes` of eight, none for a number below 1.
inline __m256i first_lanes(std::int32_t lanes) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/// The first `lanes` bytes of a register.
inline void store_bytes(__m128i value, std::int8_t* out, std::int32_t lanes) {
  if (lanes >= 16) return _mm_storeu_si128(reinterpret_cast<__m128i*>(out), value);
  if (lanes & 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), value);
    value = _mm_srli_si128(value, 8);
    out += 8;
  }
  if (lanes & 4) {
    const std::int32_t four = _mm_cvtsi128_si32(value);
    __builtin_memcpy(out, &four, 4);
    value = _mm_srli_si128(value, 4);
    out += 4;
  }
  if (lanes & 2) {
    const std::int32_t two = _mm_cvtsi128_si32(value);
    __builtin_memcpy(out, &two, 2);
    value = _mm_srli_si128(value, 2);
    out += 2;
  }
  if (lanes & 1) *out = static_cast<std::int8_t>(_mm_cvtsi128_si32(value));
}

struct F32 {
  using Mask = std::int32_t;  ///< how many lanes exist
  static Mask mask(std::int32_t lanes) { return lanes; }
  struct Pair {
    __m256 a, b;
  };
  using In = float;
  using Element = float;
  using Out = float;
  using Sum = Pair;
  using SumElement = float;
  using Scaling = LaneRescale;  ///< none
  using Weight = Pair;
  using WeightElement = float;
  static constexpr int kStep = 1, kMaxTile = 6, kMaxPoolTile = 1, kMaxBlocks = 1, kPatchTile = 0,
                       kPatchPoolTile = 0;
  static constexpr bool kAlwaysStaged = false;
  using Pixel = Pair;

  static Sum start(const void* bias) { return load(static_cast<const float*>(bias)); }
  static Weight load(const float* weight) { return {_mm256_loadu_ps(weight), _mm256_loadu_ps(weight + 8)}; }
  static Pixel broadcast(const float* x) {
    const __m256 value = _mm256_broadcast_ss(x);
    return {value, value};
  }
  static Pixel load_x(const float* x) { return load(x); }
  static void add(Sum& sum, Weight weight, Pixel x) {
    sum.a = _mm256_fmadd_ps(weight.a, x.a, sum.a);
    sum.b = _mm256_fmadd_ps(weight.b, x.b, sum.b);
  }
  static Sum max(Sum a, Sum b) { return {_mm256_max_ps(a.a, b.a), _mm256_max_ps(a.b, b.b)}; }
  static Sum scale(Sum x, Sum factor, Sum bias) {
    return {_mm256_add_ps(_mm256_mul_ps(factor.a, x.a), bias.a),
            _mm256_add_ps(_mm256_mul_ps(factor.b, x.b), bias.b)};
  }

  static Sum times(Sum a, Sum b) { return {_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
  static Sum plus(Sum a, Sum b) { return {_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
  static Sum zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static float sum_of_lanes(Sum x) { return total(_mm256_add_ps(x.a, x.b)); }
  static Sum gather(const float* x, const std::int32_t* index) {
    const auto* at = reinterpret_cast<const __m256i*>(index);
    return {_mm256_i32gather_ps(x, _mm256_loadu_si256(at), 4),
            _mm256_i32gather_ps(x, _mm256_loadu_si256(at + 1), 4)};
  }

  static constexpr int kSparseVectors = 6;
  /// Line i of sixteen numbers becomes column i: to + k * step is line k.
  static void transpose(const float* const (&line)[16], float* to, std::int64_t step) {
    for (int i = 0; i < 16; i += 8)
      for (int k = 0; k < 16; k += 8) transpose_eight(line + i, k, to + k * step + i, step);
  }
  static void transpose_eight(const float* const* line, int from, float* to, std::int64_t step) {
    __m256 a[8], b[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_ps(line[i] + from);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
      b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    // a[4 * g + c]: of lines 4 * g to 4 * g + 3 the columns c and c + 4.
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
      a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
      a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
      a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      _mm256_storeu_ps(to + c * step, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
      _mm256_storeu_ps(to + (c + 4) * step, _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
    }
  }
  static void store(float* out, Sum x, Mask lanes) {
    if (lanes >= kLanes) {
      _mm256_storeu_ps(out, x.a);
      _mm256_storeu_ps(out + 8, x.b);
    } else {
      _mm256_maskstore_ps(out, first_lanes(lanes), x.a);
      if (lanes > 8) _mm256_maskstore_ps(out + 8, first_lanes(lanes - 8), x.b);
    }
  }

  /// generic/activations.h says how.
  static Sum sigmoid(Sum x) { return {half_sigmoid(x.a), half_sigmoid(x.b)}; }
  static __m256 half_sigmoid(__m256 x) {
    const __m256 limit = _mm256_set1_ps(kSigmoidLimit), magic = _mm256_set1_ps(kRoundToInteger);
    const __m256 log2e = _mm256_set1_ps(kLog2e), one = _mm256_set1_ps(1.f);
    // The operand order keeps a NaN.
    const __m256 limited = _mm256_min_ps(limit, _mm256_max_ps(_mm256_sub_ps(_mm256_setzero_ps(), limit), x));
    const __m256 shifted = _mm256_fnmadd_ps(limited, log2e, magic);
    const __m256 rest = _mm256_fnmsub_ps(limited, log2e, _mm256_sub_ps(shifted, magic));
    __m256 power = _mm256_set1_ps(kPowersOf2[4]);
    for (int i = 3; i >= 0; --i) power = _mm256_fmadd_ps(power, rest, _mm256_set1_ps(kPowersOf2[i]));
    power = _mm256_fmadd_ps(power, rest, one);
    const __m256i scaled =
        _mm256_add_epi32(_mm256_castps_si256(power), _mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
    return _mm256_div_ps(one, _mm256_add_ps(one, _mm256_castsi256_ps(scaled)));
  }

  class Finish {
   public:
    Finish(const Clamp& clamp, const CodeLimits&, const LaneRescale*)
        : low_(_mm256_set1_ps(clamp.low)), high_(_mm256_set1_ps(clamp.high)) {}
    void store(Sum sum, float* out) const { store(sum, out, kLanes); }
    void store(Sum sum, float* out, Mask lanes) const {
      // The operand order keeps a NaN of the sum.
      F32::store(out,
                 {_mm256_min_ps(high_, _mm256_max_ps(low_, sum.a)),
                  _mm256_min_ps(high_, _mm256_max_ps(low_, sum.b))},
                 lanes);
    }

   private:
    __m256 low_, high_;
  };

  static void stage(float* to, const float* from, std::int64_t count, std::int32_t) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) _mm256_storeu_ps(to + i, _mm256_loadu_ps(from + i));
    for (; i < count; ++i) to[i] = from[i];
  }
  static void fill(float* to, std::int64_t count, std::int32_t) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
  }

  // Dot products along the inputs.
  using DotSum = __m256;
  using DotElement = float;
  static constexpr int kDot = 8, kMaxOutputs = 10;
  static DotSum dot_zero() { return _mm256_setzero_ps(); }
  static __m256 dot_x(const float* x) { return _mm256_loadu_ps(x); }
  static __m256 dot_rest_x(const float* x, int rest) { return _mm256_maskload_ps(x, first_lanes(rest)); }
  static __m256 dot_load(const float* weight) { return _mm256_loadu_ps(weight); }
  static void dot_add(DotSum& sum, __m256 weight, __m256 x) { sum = _mm256_fmadd_ps(weight, x, sum); }
  static float total(DotSum sum) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  /// Brings sums of a chunk of codes, whose halves hold a piece of each, in order.
  static void order(Sum (&sum)[1]) {
    const Pair mixed = sum[0];
    sum[0] = {_mm256_permute2f128_ps(mixed.a, mixed.b, 0x20), _mm256_permute2f128_ps(mixed.a, mixed.b, 0x31)};
  }
  static void add_totals(Sum& sum, const float* totals) {
    sum.a = _mm256_add_ps(sum.a, _mm256_loadu_ps(totals));
    sum.b = _mm256_add_ps(sum.b, _mm256_loadu_ps(totals + 8));
  }
};

/// Floats whose weights are stored in half precision: widened as they are loaded, which is exact.
struct Half : F32 {
  using WeightElement = std::uint16_t;
  static Weight load(const std::uint16_t* weight) { return {dot_load(weight), dot_load(weight + 8)}; }
  using DotElement = std::uint16_t;
  static __m256 dot_load(const std::uint16_t* weight) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weight)));
  }
};

}  // namespace
}  // namespace lathe::runtime
