#include "quantization.h"

#include "simd/simd.h"

#include <lathe/base/parallel.h>
#include <lathe/graph/quantization.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <span>

namespace lathe::kernels {
namespace {

/// So that its inverse is finite; smaller weights are 0.
constexpr double kSmallestWeightScale = 1e-30;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::int64_t kGrain = 8192;  // less is done before another thread has heard of it

simd::Steps steps_of(const IntegerSteps& s) {
  return {.scale = s.scale,
          .inverse = 1.f / s.scale,
          .low = static_cast<float>(s.low - s.zero_point),
          .high = static_cast<float>(s.high - s.zero_point),
          .zero_point = static_cast<float>(s.zero_point)};
}

}  // namespace

void fake_quantize_forward(const IntegerSteps& s, std::int64_t n, const float* x, float* y,
                           std::uint8_t* inside, float* extremes) {
  const simd::Steps steps = steps_of(s);
  const auto& table = simd::simd().quantization;
  const auto run = s.average ? table.fake_quantize_average : table.fake_quantize;
  std::mutex mutex;
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    float own[2] = {kInfinity, -kInfinity};
    run(x + begin, steps, y + begin, inside != nullptr ? inside + begin : nullptr,
        extremes != nullptr ? own : nullptr, end - begin);
    if (extremes == nullptr) return;
    const std::scoped_lock lock(mutex);  // the order of the parts does not matter to extremes
    extremes[0] = std::min(extremes[0], own[0]);
    extremes[1] = std::max(extremes[1], own[1]);
  });
}

void fake_quantize_rescaled(const IntegerSteps& s, std::int64_t channels, const float* slack, std::int64_t n,
                            const float* x, float* y) {
  const simd::Steps steps = steps_of(s);
  parallel_for(n / channels, std::max<std::int64_t>(1, kGrain / channels),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row)
                   simd::simd().quantization.fake_quantize_rescaled(x + row * channels, steps, slack,
                                                                    y + row * channels, channels);
               });
}

void fake_quantize_backward(std::int64_t n, const float* dy, const std::uint8_t* inside, float* dx) {
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    simd::simd().quantization.backward(dy + begin, inside + begin, dx + begin, end - begin);
  });
}

void fake_quantize_weight(std::int64_t rows, std::int64_t size, const float* x, float* y) {
  parallel_for(rows, std::max<std::int64_t>(1, kGrain / size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* from = x + row * size;
      const float scale =
          graph::weight_scale(std::span(from, static_cast<std::size_t>(size)), kSmallestWeightScale);
      const simd::Steps steps = steps_of({.scale = scale, .low = -127, .high = 127});
      simd::simd().quantization.fake_quantize(from, steps, y + row * size, nullptr, nullptr, size);
    }
  });
}

}  // namespace lathe::kernels
