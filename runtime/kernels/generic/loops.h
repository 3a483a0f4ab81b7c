#pragma once

#include "../kernel.h"

/// Kernels as plain loops that compilers vectorise, compiled once for each instruction set. No library
/// functions: an inline one compiled here could be taken by the linker for the whole program.
namespace lathe::runtime {
namespace {

/// The part of a window that lies inside the image.
struct Inside {
  std::int32_t begin = 0, end = 0;
};

inline Inside inside(std::int32_t first, std::int32_t kernel, std::int32_t extent) {
  const std::int32_t end = first + kernel;
  return {first < 0 ? 0 : first, end > extent ? extent : end};
}

/// combine(accumulator, element) over the pixels of each window, channel by channel; finish(row of channels,
/// count of pixels). The accumulators are the output itself.
template <typename T, typename Combine, typename Finish>
void pool_rows(const Call& call, Range rows, Combine&& combine, Finish&& finish) {
  const Window2d& p = static_cast<const Pool*>(call.params)->window;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const T* image = static_cast<const T*>(call.input) + row / p.out_h * p.in_h * p.in_w * p.in_c;
    T* out = static_cast<T*>(call.output) + row * p.out_w * p.out_c;
    const Inside h =
        inside(static_cast<std::int32_t>(row % p.out_h) * p.stride_h - p.pad_top, p.kernel_h, p.in_h);
    for (std::int32_t column = 0; column < p.out_w; ++column, out += p.out_c) {
      const Inside w = inside(column * p.stride_w - p.pad_left, p.kernel_w, p.in_w);
      bool first = true;
      for (std::int32_t y = h.begin; y < h.end; ++y) {
        for (std::int32_t x = w.begin; x < w.end; ++x) {
          const T* __restrict pixel = image + (std::int64_t{y} * p.in_w + x) * p.in_c;
          T* __restrict to = out;
          if (first) {
            for (std::int32_t c = 0; c < p.out_c; ++c) to[c] = pixel[c];
          } else {
            for (std::int32_t c = 0; c < p.out_c; ++c) to[c] = combine(to[c], pixel[c]);
          }
          first = false;
        }
      }
      finish(out, p.out_c, (h.end - h.begin) * (w.end - w.begin));
    }
  }
}

template <typename T>
void max_pool2d(const Call& call, Range rows) noexcept {
  pool_rows<T>(
      call, rows, [](T a, T b) { return a < b ? b : a; }, [](T*, std::int32_t, std::int32_t) {});
}

inline void avg_pool2d_f32(const Call& call, Range rows) noexcept {
  pool_rows<float>(
      call, rows, [](float a, float b) { return a + b; },
      [](float* out, std::int32_t channels, std::int32_t count) {
        const float divisor = static_cast<float>(count);
        for (std::int32_t c = 0; c < channels; ++c) out[c] /= divisor;
      });
}

/// Sums of up to 64 channels of a window at a time. Integers below 2^24 divide exactly enough: a quotient
/// that is no integer keeps 1 / count > 2^-15 away from the next, and floats below 256 are 2^-16 apart.
inline void avg_pool2d_i8(const Call& call, Range rows) noexcept {
  constexpr std::int32_t kTogether = 64;
  const Window2d& p = static_cast<const Pool*>(call.params)->window;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const auto* image =
        static_cast<const std::int8_t*>(call.input) + row / p.out_h * p.in_h * p.in_w * p.in_c;
    auto* out = static_cast<std::int8_t*>(call.output) + row * p.out_w * p.out_c;
    const Inside h =
        inside(static_cast<std::int32_t>(row % p.out_h) * p.stride_h - p.pad_top, p.kernel_h, p.in_h);
    for (std::int32_t column = 0; column < p.out_w; ++column, out += p.out_c) {
      const Inside w = inside(column * p.stride_w - p.pad_left, p.kernel_w, p.in_w);
      const std::int32_t count = (h.end - h.begin) * (w.end - w.begin);
      const float divisor = static_cast<float>(count);
      for (std::int32_t first = 0; first < p.out_c; first += kTogether) {
        const std::int32_t lanes = p.out_c - first < kTogether ? p.out_c - first : kTogether;
        std::int32_t sum[kTogether] = {};
        for (std::int32_t y = h.begin; y < h.end; ++y) {
          for (std::int32_t x = w.begin; x < w.end; ++x) {
            const std::int8_t* pixel = image + (std::int64_t{y} * p.in_w + x) * p.in_c + first;
            for (std::int32_t c = 0; c < lanes; ++c) sum[c] += pixel[c];
          }
        }
        std::int8_t* __restrict to = out + first;
        for (std::int32_t c = 0; c < lanes; ++c) {
          const std::int32_t rounding = sum[c] < 0 ? -(count / 2) : count / 2;
          to[c] = static_cast<std::int8_t>(
              static_cast<std::int32_t>(static_cast<float>(sum[c] + rounding) / divisor));
        }
      }
    }
  }
}

inline void table_i8(const Call& call, Range elements) noexcept {
  const std::int8_t* table = static_cast<const TableI8*>(call.params)->table;
  const auto* x = static_cast<const std::uint8_t*>(call.input);
  auto* out = static_cast<std::int8_t*>(call.output);
  std::int64_t i = elements.begin;
  for (; i + 8 <= elements.end; i += 8) {  // one load and one store for eight
    std::uint64_t codes, results = 0;
    __builtin_memcpy(&codes, x + i, 8);
    codes ^= 0x8080808080808080u;
    for (int k = 0; k < 64; k += 8)
      results |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(table[(codes >> k) & 255])) << k;
    __builtin_memcpy(out + i, &results, 8);
  }
  for (; i < elements.end; ++i) out[i] = table[x[i] ^ 0x80];
}

inline void table_i16(const Call& call, Range elements) noexcept {
  const std::int16_t* table = static_cast<const TableI16*>(call.params)->table + 32768;
  const auto* x = static_cast<const std::int16_t*>(call.input);
  auto* out = static_cast<std::int16_t*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = table[x[i]];
}

inline void clamp_f32(const Call& call, Range elements) noexcept {
  const Clamp clamp = static_cast<const Elements*>(call.params)->clamp;
  const float* x = static_cast<const float*>(call.input);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) {
    const float low = x[i] < clamp.low ? clamp.low : x[i];
    out[i] = clamp.high < low ? clamp.high : low;
  }
}

inline void add_f32(const Call& call, Range elements) noexcept {
  const Clamp clamp = static_cast<const Elements*>(call.params)->clamp;
  const float *a = static_cast<const float*>(call.input), *b = static_cast<const float*>(call.second);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) {
    const float sum = a[i] + b[i];
    const float low = sum < clamp.low ? clamp.low : sum;
    out[i] = clamp.high < low ? clamp.high : low;
  }
}

inline void multiply_f32(const Call& call, Range elements) noexcept {
  const float *a = static_cast<const float*>(call.input), *b = static_cast<const float*>(call.second);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = a[i] * b[i];
}

inline void multiply_channels_f32(const Call& call, Range pixels) noexcept {
  const auto& p = *static_cast<const MultiplyChannels*>(call.params);
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
    const float* a = static_cast<const float*>(call.input) + pixel * p.channels;
    const float* b = static_cast<const float*>(call.second) + pixel / p.pixels * p.channels;
    float* out = static_cast<float*>(call.output) + pixel * p.channels;
    for (std::int32_t c = 0; c < p.channels; ++c) out[c] = a[c] * b[c];
  }
}

inline void scale_shift_f32(const Call& call, Range pixels) noexcept {
  const auto& p = *static_cast<const ScaleShift*>(call.params);
  for (std::int64_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
    const float* x = static_cast<const float*>(call.input) + pixel * p.channels;
    float* out = static_cast<float*>(call.output) + pixel * p.channels;
    for (std::int32_t c = 0; c < p.channels; ++c) {
      const float value = x[c] * p.scale[c] + p.shift[c];
      const float low = value < p.clamp.low ? p.clamp.low : value;
      out[c] = p.clamp.high < low ? p.clamp.high : low;
    }
  }
}

inline void dequantize_i8_f32(const Call& call, Range elements) noexcept {
  const auto& p = *static_cast<const Quantization8*>(call.params);
  const std::int8_t* x = static_cast<const std::int8_t*>(call.input);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i)
    out[i] = p.scale * static_cast<float>(x[i] - p.zero_point);
}

/// As the reference, which divides, rounds halves away from zero and saturates: a product with the inverse in
/// double is off by less than 2^-36 in the range of the codes, and quotients of two floats that are no half
/// keep 2^-26 away from one; so halves, a little less when the product fell short, are all that
/// need the 2^-30.
inline void quantize_f32_i16_loop(const Call& call, Range elements) noexcept {
  const double inverse = 1 / static_cast<double>(static_cast<const Quantization8*>(call.params)->scale);
  const float* __restrict x = static_cast<const float*>(call.input);
  std::int16_t* __restrict out = static_cast<std::int16_t*>(call.output);
  constexpr double half = 0.5 + 0x1p-30;
  for (std::int64_t i = elements.begin; i < elements.end; ++i) {
    double value = static_cast<double>(x[i]) * inverse;
    value = value > -32768 ? value : -32768;
    value = value < 32767 ? value : 32767;
    out[i] = static_cast<std::int16_t>(static_cast<std::int32_t>(value + (value < 0 ? -half : half)));
  }
}

inline void dequantize_i16_f32(const Call& call, Range elements) noexcept {
  const float scale = static_cast<const Quantization8*>(call.params)->scale;
  const std::int16_t* x = static_cast<const std::int16_t*>(call.input);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = scale * static_cast<float>(x[i]);
}

inline void shift_u8_i8(const Call& call, Range elements) noexcept {
  const std::uint8_t* x = static_cast<const std::uint8_t*>(call.input);
  std::int8_t* out = static_cast<std::int8_t*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = static_cast<std::int8_t>(x[i] ^ 0x80);
}

}  // namespace
}  // namespace lathe::runtime
