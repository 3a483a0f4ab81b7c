#pragma once

#include "../packed.h"

#include <algorithm>
#include <cstring>

/// What the kernels of kernels/generic need, in plain C++: sixteen lanes are an array, loops over it are for
/// the compiler.
namespace lathe::runtime {
namespace {

template <typename T>
struct Lanes {
  T v[kLanes];
  static Lanes load(const void* data) {
    Lanes result;
    std::memcpy(result.v, data, sizeof result.v);
    return result;
  }
};

template <typename T>
Lanes<T> larger(const Lanes<T>& a, const Lanes<T>& b) {
  Lanes<T> result;
  for (int i = 0; i < kLanes; ++i) result.v[i] = std::max(a.v[i], b.v[i]);
  return result;
}

struct F32 {
  using Mask = std::int32_t;  ///< how many lanes exist
  static Mask mask(std::int32_t lanes) { return lanes; }
  using In = float;
  using Element = float;
  using Out = float;
  using Sum = Lanes<float>;
  using SumElement = float;
  using Scaling = LaneRescale;  ///< none
  using Weight = Lanes<float>;
  using WeightElement = float;
  using Pixel = Lanes<float>;
  static constexpr int kStep = 1, kMaxTile = 2, kMaxPoolTile = 1, kMaxBlocks = 1, kPatchTile = 0,
                       kPatchPoolTile = 0;
  static constexpr bool kAlwaysStaged = false;

  static Sum start(const void* bias) { return Sum::load(bias); }
  static Weight load(const float* weight) { return Weight::load(weight); }
  static Pixel broadcast(const float* x) {
    Pixel result;
    for (float& v : result.v) v = *x;
    return result;
  }
  static Pixel load_x(const float* x) { return Pixel::load(x); }
  static void add(Sum& sum, const Weight& weight, const Pixel& x) {
    for (int i = 0; i < kLanes; ++i) sum.v[i] += weight.v[i] * x.v[i];
  }
  static Sum max(const Sum& a, const Sum& b) { return larger(a, b); }
  static Sum plus(const Sum& a, const Sum& b) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = a.v[i] + b.v[i];
    return result;
  }
  static Sum zero() { return {}; }
  static float sum_of_lanes(const Sum& x) { return total(x); }
  static Sum gather(const float* x, const std::int32_t* index) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) result.v[i] = x[index[i]];
    return result;
  }
  static void store(float* out, const Sum& x, Mask lanes) {
    for (int i = 0; i < lanes; ++i) out[i] = x.v[i];
  }

  static constexpr int kSparseVectors = 2;
  /// Line i of sixteen numbers becomes column i: to + k * step is line k.
  static void transpose(const float* const (&line)[16], float* to, std::int64_t step) {
    for (int k = 0; k < kLanes; ++k)
      for (int i = 0; i < kLanes; ++i) to[k * step + i] = line[i][k];
  }
  static Sum scale(const Sum& x, const Sum& factor, const Sum& bias) {
    Sum result;
    for (int i = 0; i < kLanes; ++i) {
      const float product = factor.v[i] * x.v[i];
      result.v[i] = product + bias.v[i];
    }
    return result;
  }

  class Finish {
   public:
    Finish(const Clamp& clamp, const CodeLimits&, const LaneRescale*) : clamp_(clamp) {}
    void store(const Sum& sum, float* out) const { store(sum, out, kLanes); }
    void store(const Sum& sum, float* out, Mask lanes) const {
      for (int i = 0; i < lanes; ++i) out[i] = std::min(std::max(sum.v[i], clamp_.low), clamp_.high);
    }

   private:
    Clamp clamp_;
  };

  static void stage(float* to, const float* from, std::int64_t count, std::int32_t) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  }
  static void fill(float* to, std::int64_t count, std::int32_t) { std::fill_n(to, count, 0.f); }

  using DotSum = Lanes<float>;
  using DotElement = float;
  static constexpr int kDot = kLanes, kMaxOutputs = 2;
  static DotSum dot_zero() { return {}; }
  static Pixel dot_x(const float* x) { return Pixel::load(x); }
  static Pixel dot_rest_x(const float* x, int rest) {
    Pixel result{};
    for (int i = 0; i < rest; ++i) result.v[i] = x[i];
    return result;
  }
  static Weight dot_load(const float* weight) { return Weight::load(weight); }
  static void dot_add(DotSum& sum, const Weight& weight, const Pixel& x) { add(sum, weight, x); }
  static float total(const DotSum& sum) {
    float result = 0;
    for (const float v : sum.v) result += v;
    return result;
  }
  static void order(Sum (&)[1]) {}
  static void add_totals(Sum& sum, const float* totals) {
    for (int i = 0; i < kLanes; ++i) sum.v[i] += totals[i];
  }
};

}  // namespace
}  // namespace lathe::runtime
