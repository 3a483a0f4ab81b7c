#include "../wide_fixed_point.h"
#include "reference.h"
#include "windows.h"

#include <algorithm>
#include <cmath>

/// Kernels of 16-bit activations with zero point 0.
namespace lathe::runtime::reference {

namespace {

std::int16_t saturated(std::int64_t code, std::int32_t low = -32768, std::int32_t high = 32767) {
  return static_cast<std::int16_t>(std::clamp<std::int64_t>(code, low, high));
}

}  // namespace

// x [N,H,W,C], weight [O,KH,KW,C/g], out [N,H',W',O]; loops: rows, columns, outputs, taps, channels.
void conv2d_i16(const Call& call, Range rows) noexcept {
  const auto& p = params<ConvI16>(call);
  const Window2d& window = p.window;
  const std::int32_t group_in = window.in_c / p.groups, group_out = window.out_c / p.groups;
  const std::int64_t taps = std::int64_t{window.kernel_h} * window.kernel_w;
  std::int16_t* out = output<std::int16_t>(call) + rows.begin * window.out_w * window.out_c;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    for (std::int32_t column = 0; column < window.out_w; ++column) {
      const Place at = place(window, row, column);
      for (std::int32_t o = 0; o < window.out_c; ++o) {
        const std::int8_t* weight = p.weight + o * taps * group_in;
        std::int64_t sum = p.bias != nullptr ? p.bias[o] : 0;
        for_each_tap(window, at, input<std::int16_t>(call), [&](const std::int16_t* pixel, std::int32_t tap) {
          const std::int16_t* x = pixel + o / group_out * group_in;
          // 32 bits hold 512 products.
          for (std::int32_t first = 0; first < group_in; first += 512) {
            const std::int32_t end = std::min(group_in, first + 512);
            std::int32_t part = 0;
            for (std::int32_t c = first; c < end; ++c) part += x[c] * weight[tap * group_in + c];
            sum += part;
          }
        });
        *out++ = saturated(rescale_wide(sum, p.rescale.multiplier[o], p.rescale.exponent[o]), p.rescale.low,
                           p.rescale.high);
      }
    }
  }
}

void max_pool2d_i16(const Call& call, Range rows) noexcept { max_pool2d<std::int16_t>(call, rows); }

void avg_pool2d_i16(const Call& call, Range rows) noexcept {
  avg_pool2d<std::int16_t, std::int64_t>(call, rows, [](std::int64_t sum, std::int32_t count) {
    const std::int64_t half = sum < 0 ? -(count / 2) : count / 2;
    return static_cast<std::int16_t>((sum + half) / count);
  });
}

// x [N,H,W,C] -> [N,C]
void global_avg_pool_i16(const Call& call, Range samples) noexcept {
  const auto& p = params<GlobalAvgPoolI16>(call);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    for (std::int32_t c = 0; c < p.channels; ++c) {
      const std::int16_t* x = input<std::int16_t>(call) + n * p.pixels * p.channels + c;
      std::int64_t sum = 0;
      for (std::int32_t i = 0; i < p.pixels; ++i) sum += x[std::int64_t{i} * p.channels];
      output<std::int16_t>(call)[n * p.channels + c] =
          saturated(rescale_wide(sum, p.rescale.multiplier[0], p.rescale.exponent[0]));
    }
  }
}

void add_i16(const Call& call, Range elements) noexcept {
  const auto& p = params<AddI16>(call);
  const auto aligned = [&](std::int16_t code, int which) {
    return rescale_wide(code * (std::int64_t{1} << 30), p.multiplier[which], p.exponent[which]);
  };
  map2<std::int16_t>(call, elements, [&](std::int16_t a, std::int16_t b) {
    return saturated(rescale_wide(aligned(a, 0) + aligned(b, 1), p.out_multiplier, p.out_exponent), p.low,
                     p.high);
  });
}

namespace {

std::int16_t product(const MultiplyI16& p, std::int16_t a, std::int16_t b) {
  return saturated(rescale_wide(std::int64_t{a} * b, p.multiplier, p.exponent));
}

}  // namespace

void multiply_i16(const Call& call, Range elements) noexcept {
  const auto& p = params<MultiplyI16>(call);
  map2<std::int16_t>(call, elements, [&](std::int16_t a, std::int16_t b) { return product(p, a, b); });
}

void multiply_channels_i16(const Call& call, Range pixels) noexcept {
  const auto& p = params<MultiplyI16>(call);
  map_channels<std::int16_t>(call, pixels, p.broadcast,
                             [&](std::int16_t a, std::int16_t b) { return product(p, a, b); });
}

void table_i16(const Call& call, Range elements) noexcept {
  const std::int16_t* table = params<TableI16>(call).table;
  map<std::int16_t, std::int16_t>(call, elements, [&](std::int16_t x) { return table[x + 32768]; });
}

void softmax_i16(const Call& call, Range rows) noexcept {
  const auto& p = params<SoftmaxI16>(call);
  auto* exponentials = static_cast<double*>(call.scratch);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int16_t* x = input<std::int16_t>(call) + row * p.channels;
    std::int16_t* out = output<std::int16_t>(call) + row * p.channels;
    const std::int32_t largest = *std::max_element(x, x + p.channels);
    double sum = 0;
    for (std::int32_t c = 0; c < p.channels; ++c)
      sum += exponentials[c] = std::exp(p.in_scale * (x[c] - largest));
    for (std::int32_t c = 0; c < p.channels; ++c)
      out[c] = to_code16(exponentials[c] / sum * p.out_inverse_scale);
  }
}

void log_softmax_i16(const Call& call, Range rows) noexcept {
  const auto& p = params<SoftmaxI16>(call);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int16_t* x = input<std::int16_t>(call) + row * p.channels;
    std::int16_t* out = output<std::int16_t>(call) + row * p.channels;
    const std::int32_t largest = *std::max_element(x, x + p.channels);
    double sum = 0;
    for (std::int32_t c = 0; c < p.channels; ++c) sum += std::exp(p.in_scale * (x[c] - largest));
    const double normaliser = std::log(sum);
    for (std::int32_t c = 0; c < p.channels; ++c)
      out[c] = to_code16((p.in_scale * (x[c] - largest) - normaliser) * p.out_inverse_scale);
  }
}

void quantize_f32_i16(const Call& call, Range elements) noexcept {
  const auto& p = params<Quantization8>(call);
  map<std::int16_t, float>(call, elements, [&](float x) {
    return to_code16(static_cast<double>(x) / static_cast<double>(p.scale));
  });
}

void dequantize_i16_f32(const Call& call, Range elements) noexcept {
  const auto& p = params<Quantization8>(call);
  map<float, std::int16_t>(call, elements, [&](std::int16_t x) { return p.scale * static_cast<float>(x); });
}

}  // namespace lathe::runtime::reference
