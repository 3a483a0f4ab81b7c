#include "../fixed_point.h"
#include "reference.h"
#include "windows.h"

#include <algorithm>

namespace lathe::runtime::reference {

// x [N,H,W,C], weight [O,KH,KW,C/g], out [N,H',W',O]; loops: rows, columns, outputs, taps, channels.
void conv2d_f32(const Call& call, Range rows) noexcept {
  const auto& p = params<ConvF32>(call);
  const Window2d& window = p.window;
  const std::int32_t group_in = window.in_c / p.groups, group_out = window.out_c / p.groups;
  const std::int64_t taps = std::int64_t{window.kernel_h} * window.kernel_w;
  float* out = output<float>(call) + rows.begin * window.out_w * window.out_c;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t column = 0; column < window.out_w; ++column) {
      const Place at = place(window, row, column);
      for (std::int32_t o = 0; o < window.out_c; ++o) {
        const float* weight = p.weight + o * taps * group_in;
        float sum = p.bias != nullptr ? p.bias[o] : 0.f;
        for_each_tap(window, at, input<float>(call), [&](const float* pixel, std::int32_t tap) {
          const float* x = pixel + o / group_out * group_in;
          for (std::int32_t c = 0; c < group_in; ++c) sum += x[c] * weight[tap * group_in + c];
        });
        *out++ = std::min(std::max(sum, p.clamp.low), p.clamp.high);
      }
    }
  }
}

// x [N,H,W,C], weight [O,KH,KW,C/g], out [N,H',W',O]; loops: rows, columns, outputs, taps, channels.
void conv2d_i8(const Call& call, Range rows) noexcept {
  const auto& p = params<ConvI8>(call);
  const Window2d& window = p.window;
  const std::int32_t group_in = window.in_c / p.groups, group_out = window.out_c / p.groups;
  const std::int64_t taps = std::int64_t{window.kernel_h} * window.kernel_w;
  std::int8_t* out = output<std::int8_t>(call) + rows.begin * window.out_w * window.out_c;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t column = 0; column < window.out_w; ++column) {
      const Place at = place(window, row, column);
      for (std::int32_t o = 0; o < window.out_c; ++o) {
        const std::int8_t* weight = p.weight + o * taps * group_in;
        std::int32_t sum = p.bias != nullptr ? p.bias[o] : 0;
        for_each_tap(window, at, input<std::int8_t>(call), [&](const std::int8_t* pixel, std::int32_t tap) {
          const std::int8_t* x = pixel + o / group_out * group_in;
          for (std::int32_t c = 0; c < group_in; ++c)
            sum += (x[c] - p.in_zero_point) * weight[tap * group_in + c];
        });
        const std::int32_t code =
            rescale(sum, p.rescale.multiplier[o], p.rescale.exponent[o]) + p.rescale.zero_point;
        *out++ = static_cast<std::int8_t>(std::clamp(code, p.rescale.low, p.rescale.high));
      }
    }
  }
}

void max_pool2d_f32(const Call& call, Range rows) noexcept { max_pool2d<float>(call, rows); }
void max_pool2d_i8(const Call& call, Range rows) noexcept { max_pool2d<std::int8_t>(call, rows); }

void avg_pool2d_f32(const Call& call, Range rows) noexcept {
  avg_pool2d<float, float>(call, rows,
                           [](float sum, std::int32_t count) { return sum / static_cast<float>(count); });
}

void avg_pool2d_i8(const Call& call, Range rows) noexcept {
  avg_pool2d<std::int8_t, std::int32_t>(call, rows, [](std::int32_t sum, std::int32_t count) {
    return static_cast<std::int8_t>(rounded_quotient(sum, count));
  });
}

// x [N,H,W,C] -> [N,C]
void global_avg_pool_i8(const Call& call, Range samples) noexcept {
  const auto& p = params<GlobalAvgPoolI8>(call);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    for (std::int32_t c = 0; c < p.channels; ++c) {
      const std::int8_t* x = input<std::int8_t>(call) + n * p.pixels * p.channels + c;
      std::int32_t sum = 0;
      for (std::int32_t i = 0; i < p.pixels; ++i) sum += x[std::int64_t{i} * p.channels] - p.in_zero_point;
      const std::int32_t code =
          rescale(sum, p.rescale.multiplier[0], p.rescale.exponent[0]) + p.rescale.zero_point;
      output<std::int8_t>(call)[n * p.channels + c] =
          static_cast<std::int8_t>(std::clamp(code, p.rescale.low, p.rescale.high));
    }
  }
}

}  // namespace lathe::runtime::reference
