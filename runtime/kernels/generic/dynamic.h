#pragma once

#include "conv_tiles.h"
#include "depthwise_codes.h"
#include "linear_dots.h"

/// Layers that quantize each image as it comes: the kernels of 8-bit codes with a result in floats, whose
/// start and factors are made for each image. The same numbers as the reference (reference/dynamic.cpp).
namespace lathe::runtime {
namespace {

/// I8 with floats out: real() of sums, and what F32 does to them.
template <class I8, class F32>
struct Dynamic : I8 {
  using Out = float;
  using Scaling = LaneFactors;
  static constexpr bool kFourColumns = false;

  class Finish {
   public:
    Finish(const Clamp& clamp, const CodeLimits& limits, const LaneFactors* factors)
        : finish_(clamp, limits, nullptr),
          factor_(F32::start(factors->factor)),
          bias_(F32::start(factors->bias)) {}
    void store(const typename I8::Sum& sum, float* out) const {
      finish_.store(F32::scale(I8::real(sum), factor_, bias_), out);
    }
    void store(const typename I8::Sum& sum, float* out, typename F32::Mask mask) const {
      finish_.store(F32::scale(I8::real(sum), factor_, bias_), out, mask);
    }
    typename F32::Sum scaled(const typename I8::Sum& sum) const {
      return F32::scale(I8::real(sum), factor_, bias_);
    }

   private:
    typename F32::Finish finish_;
    typename F32::Sum factor_, bias_;
  };

  template <Rescaling>
  static void store_chunk(const typename I8::Sum (&sum)[I8::kSums], const Clamp& clamp,
                          const CodeLimits& limits, const LaneFactors* factors, float* out,
                          std::int64_t lanes) {
    typename F32::Sum real[I8::kSums];
    for (int s = 0; s < I8::kSums; ++s) real[s] = Finish(clamp, limits, factors + s).scaled(sum[s]);
    F32::order(real);
    const typename F32::Finish finish(clamp, limits, nullptr);
    for (int s = 0; s < I8::kSums && lanes > 0; ++s, out += kLanes, lanes -= kLanes)
      finish.store(real[s], out, F32::mask(static_cast<std::int32_t>(lanes < kLanes ? lanes : kLanes)));
  }
};

/// Asymmetric parameters over the range of the elements widened to include 0. NaN is passed over.
inline Quantization8 quantization_of(const float* x, std::int64_t size) {
  constexpr int kWide = 4 * kLanes;  // several chains of comparisons
  float low[kWide] = {}, high[kWide] = {};
  std::int64_t i = 0;
  for (; i + kWide <= size; i += kWide) {
    for (int lane = 0; lane < kWide; ++lane) {
      low[lane] = x[i + lane] < low[lane] ? x[i + lane] : low[lane];
      high[lane] = x[i + lane] > high[lane] ? x[i + lane] : high[lane];
    }
  }
  for (int lane = 0; i < size; ++i, ++lane) {
    low[lane] = x[i] < low[lane] ? x[i] : low[lane];
    high[lane] = x[i] > high[lane] ? x[i] : high[lane];
  }
  for (int half = kWide / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) {
      low[lane] = low[lane + half] < low[lane] ? low[lane + half] : low[lane];
      high[lane] = high[lane + half] > high[lane] ? high[lane + half] : high[lane];
    }
  }
  const double width = static_cast<double>(high[0]) - static_cast<double>(low[0]);
  double wide = width > 0 ? width / 255 : 1;
  wide = wide < 1e-30                              ? 1e-30
         : wide > static_cast<double>(__FLT_MAX__) ? static_cast<double>(__FLT_MAX__)
                                                   : wide;
  Quantization8 result{.scale = static_cast<float>(wide)};
  result.inverse_scale = 1 / result.scale;
  double zero_point = -128 - static_cast<double>(low[0]) / static_cast<double>(result.scale);
  zero_point = zero_point > 127 ? 127 : zero_point;
  const auto whole = static_cast<std::int32_t>(zero_point);
  const double rest = zero_point - whole;
  result.zero_point = whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
  return result;
}

/// Gives a layer its start and factors, with `blocks` for what has to be changed of it; returns its units.
inline std::int64_t bind(PackedConv& p, const std::int32_t* start, const LaneFactors* factors, void* blocks,
                         std::int32_t zero_point) {
  auto* block = static_cast<ConvBlock*>(blocks);
  for (std::int32_t b = 0; b < p.blocks; ++b) {
    block[b] = p.block[b];
    block[b].bias = start + b * kLanes;
    block[b].rescale = factors + b;
  }
  p.block = block;
  p.staging.zero_point = zero_point;
  return p.units;
}
inline std::int64_t bind(PackedDepthwiseCodes& p, const std::int32_t* start, const LaneFactors* factors,
                         void*, std::int32_t zero_point) {
  p.bias = start;
  p.rescale = factors;
  p.zero_point = zero_point;
  return p.out_h;
}
inline std::int64_t bind(PackedLinear& p, const std::int32_t* start, const LaneFactors* factors, void*,
                         std::int32_t) {
  p.bias = start;
  p.rescale = factors;
  return 1;
}

template <typename Layer, Kernel kQuantize, Kernel kLayer>
void dynamic(const Call& call, Range samples) noexcept {
  const auto& p = *static_cast<const PackedDynamic<Layer>*>(call.params);
  auto* scratch = static_cast<std::byte*>(call.scratch);
  auto* start = static_cast<std::int32_t*>(static_cast<void*>(scratch + p.start_at));
  auto* factors = static_cast<LaneFactors*>(static_cast<void*>(scratch + p.factors_at));
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const float* x = static_cast<const float*>(call.input) + n * p.in_size;
    const Quantization8 codes = quantization_of(x, p.in_size);
    kQuantize({.params = &codes, .input = x, .output = scratch}, {0, p.in_size});
    const std::int32_t offset = p.offset + (p.with_zero_point ? codes.zero_point : 0);
    for (std::int32_t i = 0; i < p.lanes; ++i) start[i] = -offset * p.weight_sum[i];
    for (std::int32_t group = 0; group < p.lanes / kLanes; ++group) {
      for (int i = 0; i < kLanes; ++i) {
        factors[group].factor[i] = codes.scale * p.factors[group].factor[i];
        factors[group].bias[i] = p.factors[group].bias[i];
      }
    }
    Layer layer = p.layer;
    const std::int64_t units = bind(layer, start, factors, scratch + p.blocks_at, codes.zero_point);
    float* out = static_cast<float*>(call.output) + n * p.out_size;
    kLayer({.params = &layer, .input = scratch, .output = out, .scratch = scratch + p.inner_at}, {0, units});
  }
}

}  // namespace
}  // namespace lathe::runtime
