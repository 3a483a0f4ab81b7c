#include "../fixed_point.h"
#include "reference.h"
#include "views.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lathe::runtime::reference {

namespace {

float clamped(float value, const Clamp& clamp) { return std::min(std::max(value, clamp.low), clamp.high); }

float sigmoid(float x) { return 1.f / (1.f + std::exp(-x)); }

std::int8_t saturated(std::int32_t code, std::int32_t low = -128, std::int32_t high = 127) {
  return static_cast<std::int8_t>(std::clamp(code, low, high));
}

/// Bits that codes are shifted up before they meet in a sum.
constexpr std::int32_t kAddBits = 20;

}  // namespace

void clamp_f32(const Call& call, Range elements) noexcept {
  const Clamp clamp = params<Elements>(call).clamp;
  map<float, float>(call, elements, [&](float x) { return clamped(x, clamp); });
}

void sigmoid_f32(const Call& call, Range elements) noexcept { map<float, float>(call, elements, sigmoid); }

void silu_f32(const Call& call, Range elements) noexcept {
  map<float, float>(call, elements, [](float x) { return x * sigmoid(x); });
}

void add_f32(const Call& call, Range elements) noexcept {
  const Clamp clamp = params<Elements>(call).clamp;
  map2<float>(call, elements, [&](float a, float b) { return clamped(a + b, clamp); });
}

void add_i8(const Call& call, Range elements) noexcept {
  const auto& p = params<AddI8>(call);
  const auto aligned = [&](std::int8_t code, int which) {
    return rescale((code - p.zero_point[which]) * (1 << kAddBits), p.multiplier[which], p.exponent[which]);
  };
  map2<std::int8_t>(call, elements, [&](std::int8_t a, std::int8_t b) {
    const std::int32_t sum = aligned(a, 0) + aligned(b, 1);
    return saturated(rescale(sum, p.out_multiplier, p.out_exponent) + p.out_zero_point, p.low, p.high);
  });
}

void multiply_f32(const Call& call, Range elements) noexcept {
  map2<float>(call, elements, [](float a, float b) { return a * b; });
}

namespace {

std::int8_t product(const MultiplyI8& p, std::int8_t a, std::int8_t b) {
  const std::int32_t exact = (a - p.zero_point[0]) * (b - p.zero_point[1]);
  return saturated(rescale(exact, p.multiplier, p.exponent) + p.out_zero_point);
}

}  // namespace

void multiply_i8(const Call& call, Range elements) noexcept {
  const auto& p = params<MultiplyI8>(call);
  map2<std::int8_t>(call, elements, [&](std::int8_t a, std::int8_t b) { return product(p, a, b); });
}

void multiply_channels_f32(const Call& call, Range pixels) noexcept {
  map_channels<float>(call, pixels, params<MultiplyChannels>(call), [](float a, float b) { return a * b; });
}

void multiply_channels_i8(const Call& call, Range pixels) noexcept {
  const auto& p = params<MultiplyI8>(call);
  map_channels<std::int8_t>(call, pixels, p.broadcast,
                            [&](std::int8_t a, std::int8_t b) { return product(p, a, b); });
}

void scale_shift_f32(const Call& call, Range pixels) noexcept {
  const auto& p = params<ScaleShift>(call);
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
    const float* x = input<float>(call) + pixel * p.channels;
    float* out = output<float>(call) + pixel * p.channels;
    for (std::int32_t c = 0; c < p.channels; ++c) out[c] = clamped(x[c] * p.scale[c] + p.shift[c], p.clamp);
  }
}

void table_i8(const Call& call, Range elements) noexcept {
  const std::int8_t* table = params<TableI8>(call).table;
  map<std::int8_t, std::int8_t>(call, elements, [&](std::int8_t x) { return table[x + 128]; });
}

void quantize_f32_i8(const Call& call, Range elements) noexcept {
  const auto& p = params<Quantization8>(call);
  map<std::int8_t, float>(call, elements,
                          [&](float x) { return to_code(x * p.inverse_scale, p.zero_point); });
}

void shift_u8_i8(const Call& call, Range elements) noexcept {
  map<std::int8_t, std::uint8_t>(call, elements,
                                 [](std::uint8_t x) { return static_cast<std::int8_t>(x - 128); });
}

void shift_i8_u8(const Call& call, Range elements) noexcept {
  map<std::uint8_t, std::int8_t>(call, elements,
                                 [](std::int8_t x) { return static_cast<std::uint8_t>(x + 128); });
}

void dequantize_i8_f32(const Call& call, Range elements) noexcept {
  const auto& p = params<Quantization8>(call);
  map<float, std::int8_t>(call, elements,
                          [&](std::int8_t x) { return p.scale * static_cast<float>(x - p.zero_point); });
}

void copy_slices(const Call& call, Range rows) noexcept {
  const auto& p = params<CopySlices>(call);
  for (std::int64_t row = rows.begin; row < rows.end; ++row)
    std::memcpy(output<char>(call) + row * p.out_stride + p.out_offset, input<char>(call) + row * p.slice,
                static_cast<std::size_t>(p.slice));
}

void pad_image(const Call& call, Range rows) noexcept {
  const auto& p = params<PadImage>(call);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    char* out = output<char>(call) + row * p.out_row;
    std::memset(out, p.fill, static_cast<std::size_t>(p.out_row));
    const std::int64_t h = row % p.out_h - p.top;
    if (h < 0 || h >= p.in_h) continue;
    std::memcpy(out + p.left, input<char>(call) + (row / p.out_h * p.in_h + h) * p.row,
                static_cast<std::size_t>(p.row));
  }
}

}  // namespace lathe::runtime::reference
