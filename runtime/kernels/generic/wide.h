#pragma once

#include "../packed.h"

/// Sums that do not fit into 32 bits: V (conv_tiles.h, of 16-bit codes) with 64-bit accumulators. V's own
/// sums take the products of one run (the plan keeps it short enough) and are then moved over.
namespace lathe::runtime {
namespace {

template <class V>
struct Wide : V {
  struct Sum {
    typename V::Sum part;
    std::int64_t whole[kLanes];
  };
  using SumElement = std::int64_t;
  static constexpr int kPatchTile = 0, kPatchPoolTile = 0;
  /// Inputs of a dot product that leave each 32-bit sum below 2^31: two products a step, of which none is
  /// larger than 2^22.
  static constexpr int kDotInputs = 255 * V::kDot;

  static Sum start(const void* bias) {
    Sum sum;
    sum.part = zero();
    __builtin_memcpy(sum.whole, bias, sizeof sum.whole);
    return sum;
  }
  static void add(Sum& sum, const typename V::Weight& weight, const typename V::Pixel& x) {
    V::add(sum.part, weight, x);
  }
  static void widen(Sum& sum) {
    std::int32_t part[kLanes];
    static_assert(sizeof part == sizeof sum.part);
    __builtin_memcpy(part, &sum.part, sizeof part);
    for (int i = 0; i < kLanes; ++i) sum.whole[i] += part[i];
    sum.part = zero();
  }
  static Sum max(const Sum& a, const Sum& b) {
    Sum result = a;
    for (int i = 0; i < kLanes; ++i) result.whole[i] = a.whole[i] < b.whole[i] ? b.whole[i] : a.whole[i];
    return result;
  }
  static void add_totals(Sum& sum, const std::int64_t* totals) {
    for (int i = 0; i < kLanes; ++i) sum.whole[i] += totals[i];
  }

  /// With a = 2^32 * upper + lower, floor((a * m + 2^(30+e) - (a < 0)) / 2^32) = upper * m + 2^(e-2) +
  /// floor((lower * m - (a < 0)) / 2^32), all within 64 bits for |a| < 2^47 and e >= 2.
  class Finish {
   public:
    Finish(const Clamp&, const CodeLimits& limits, const LaneRescale* rescale)
        : limits_(limits), rescale_(rescale) {}
    void store(const Sum& sum, typename V::Out* out, typename V::Mask mask) const {
      std::int32_t codes[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        const std::int64_t a = sum.whole[i], m = rescale_->multiplier[i];
        const int shift = rescale_->shift[i];  // e - 1 >= 1
        const std::int64_t lower = (a & 0xffffffff) * m - (a < 0 ? 1 : 0);
        const std::int64_t upper = (a >> 32) * m + (std::int64_t{1} << (shift - 1)) + (lower >> 32);
        const std::int64_t code = upper >> shift;
        codes[i] = static_cast<std::int32_t>(code < limits_.low    ? limits_.low
                                             : code > limits_.high ? limits_.high
                                                                   : code);
      }
      V::store_words(codes, out, mask);
    }

   private:
    CodeLimits limits_;
    const LaneRescale* rescale_;
  };

 private:
  static typename V::Sum zero() {
    const std::int32_t zeros[kLanes] = {};
    return V::start(zeros);
  }
};

}  // namespace
}  // namespace lathe::runtime
