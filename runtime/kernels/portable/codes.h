#pragma once

#include "../fixed_point.h"
#include "floats.h"

#include <type_traits>

/// Vectors of 8-bit and 16-bit codes in plain C++.
namespace lathe::runtime {
namespace {

/// Inputs as 16-bit numbers, code - zero point, two to a lane.
template <typename Code>
struct Words {
  using Mask = std::int32_t;  ///< how many lanes exist
  static Mask mask(std::int32_t lanes) { return lanes; }
  struct Pairs {
    std::int16_t v[2 * kLanes];
    static Pairs load(const void* data) {
      Pairs result;
      std::memcpy(result.v, data, sizeof result.v);
      return result;
    }
  };
  using In = Code;
  using Element = std::int16_t;
  using Out = Code;
  using Sum = Lanes<std::int32_t>;
  using SumElement = std::int32_t;
  using Scaling = LaneRescale;
  using Weight = Pairs;
  using WeightElement = std::int16_t;
  using Pixel = Pairs;
  static constexpr int kStep = 2, kMaxTile = 2, kMaxPoolTile = 1, kMaxBlocks = 1, kPatchTile = 0,
                       kPatchPoolTile = 0;
  static constexpr bool kAlwaysStaged = sizeof(Code) == 1, kRealRescaling = false;

  static Sum start(const void* bias) { return Sum::load(bias); }
  static Weight load(const std::int16_t* weight) { return Weight::load(weight); }
  static Pixel broadcast(const std::int16_t* x) {
    std::int32_t pair, pairs[kLanes];
    std::memcpy(&pair, x, sizeof pair);
    for (std::int32_t& one : pairs) one = pair;
    return Pixel::load(pairs);
  }
  static void add(Sum& sum, const Weight& weight, const Pixel& x) {
    std::int32_t products[2 * kLanes];  // apart from the sums, so that compilers take vectors for both
    for (int i = 0; i < 2 * kLanes; ++i) products[i] = weight.v[i] * x.v[i];
    for (int i = 0; i < kLanes; ++i) sum.v[i] += products[2 * i] + products[2 * i + 1];
  }
  static Sum max(const Sum& a, const Sum& b) { return larger(a, b); }
  static Sum times(const Sum& a, const Sum& b) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = a.v[i] * b.v[i];
    return result;
  }
  static Sum plus(const Sum& a, const Sum& b) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = a.v[i] + b.v[i];
    return result;
  }
  static Sum rescaled(const Sum& sum, const LaneRescale& lanes) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = static_cast<std::int32_t>(fixed(sum.v[i], lanes, i, true));
    return result;
  }
  /// packed.h, LaneRescale.
  static std::int64_t fixed(std::int64_t a, const LaneRescale& lanes, int i, bool negative) {
    // Not (... ? even : odd)[i / 2]: with -fsanitize=bounds g++ 12 computes i / 2 on one side only.
    const std::int64_t offset = i % 2 == 0 ? lanes.even_offset[i / 2] : lanes.odd_offset[i / 2];
    const std::int64_t term = negative && a < 0 ? kNegativeTerm<Code> : 0;
    return (a * lanes.multiplier[i] + offset - term) >> (32 + lanes.shift[i]);
  }
  static F32::Sum real(const Sum& sum) {
    F32::Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = static_cast<float>(sum.v[i]);
    return result;
  }

  /// packed.h, LaneRescale.
  class Finish {
   public:
    Finish(const Clamp&, const CodeLimits& limits, const LaneRescale* rescale)
        : limits_(limits), rescale_(rescale) {}
    void store(const Sum& sum, Code* out) const { store(sum, out, kLanes); }
    void store(const Sum& sum, Code* out, Mask lanes) const {
      for (int i = 0; i < lanes; ++i) {
        const std::int64_t code = fixed(sum.v[i], *rescale_, i, limits_.rescaling == Rescaling::negative);
        out[i] = static_cast<Code>(std::clamp<std::int64_t>(code, limits_.low, limits_.high));
      }
    }

   private:
    CodeLimits limits_;
    const LaneRescale* rescale_;
  };

  static void stage(std::int16_t* to, const Code* from, std::int64_t count, std::int32_t zero_point) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<std::int16_t>(from[i] - zero_point);
  }
  static void fill(std::int16_t* to, std::int64_t count, std::int32_t) {
    std::fill_n(to, count, std::int16_t{0});
  }

  // Depthwise: sixteen codes, in their own order.
  static constexpr int kChunk = kLanes, kParts = 0, kSums = 1;
  static void stage_loose(std::int16_t* to, const Code* from, std::int64_t count, std::int32_t zero_point) {
    stage(to, from, count, zero_point);
  }
  static void fill_loose(std::int16_t* to, std::int64_t count, std::int32_t zero_point) {
    fill(to, count, zero_point);
  }
  static void stage_columns(std::int16_t* to, const Code* from, std::int64_t channels, std::int64_t count,
                            std::int64_t step, std::int32_t zero_point) {
    for (; count > 0; --count, to += channels, from += step) stage(to, from, channels, zero_point);
  }
  static void cells(const std::int16_t* x, std::int64_t step, Pixel (&cell)[kSums]) {
    for (int i = 0; i < kLanes; ++i) {
      cell[0].v[2 * i] = x[i];
      cell[0].v[2 * i + 1] = x[i + step];
    }
  }
  static void add_from(Sum& sum, const std::int16_t* weight, const Pixel& x) { add(sum, load(weight), x); }
  template <Rescaling>
  static void store_chunk(const Sum (&sum)[kSums], const Clamp& clamp, const CodeLimits& limits,
                          const LaneRescale* rescale, Code* out, std::int64_t lanes) {
    Finish(clamp, limits, rescale)
        .store(sum[0], out, static_cast<Mask>(std::min<std::int64_t>(lanes, kLanes)));
  }

  static void add_codes(Sum& sum, const Code* x, std::int32_t lanes) {
    for (int i = 0; i < lanes; ++i) sum.v[i] += x[i];
  }

  /// The first `lanes` of sixteen numbers within 16 bits.
  static void store_words(const std::int32_t* words, Code* out, Mask lanes) {
    for (int i = 0; i < lanes; ++i) out[i] = static_cast<Code>(words[i]);
  }

  // Dot products along the inputs, of the codes as they are: the bias makes up for the zero point.
  // Sums of 8-bit codes fit into 32 bits.
  using DotSum = std::conditional_t<sizeof(Code) == 1, std::int32_t, std::int64_t>;
  using DotElement = std::int8_t;
  struct Part {
    std::int16_t v[kLanes];
  };
  static constexpr int kDot = kLanes, kMaxOutputs = 4;
  static DotSum dot_zero() { return 0; }
  static Part dot_x(const Code* x) { return dot_rest_x(x, kDot); }
  static Part dot_rest_x(const Code* x, int rest) {
    Part result{};
    for (int i = 0; i < rest; ++i) result.v[i] = x[i];
    return result;
  }
  static const std::int8_t* dot_load(const std::int8_t* weight) { return weight; }
  static void dot_add(DotSum& sum, const std::int8_t* weight, const Part& x) {
    std::int32_t part = 0;
    for (int i = 0; i < kDot; ++i) part += weight[i] * x.v[i];
    sum += part;
  }
  static DotSum total(DotSum sum) { return sum; }
  static void add_totals(Sum& sum, const std::int32_t* totals) {
    for (int i = 0; i < kLanes; ++i) sum.v[i] += totals[i];
  }
};

using I8 = Words<std::int8_t>;
using I16 = Words<std::int16_t>;

inline void quantize_f32_i8(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const Quantization8*>(call.params);
  const float* x = static_cast<const float*>(call.input);
  std::int8_t* out = static_cast<std::int8_t*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i)
    out[i] = to_code(x[i] * p.inverse_scale, p.zero_point);
}

}  // namespace
}  // namespace lathe::runtime
