#pragma once

#include "../kernel.h"

/// Activations with an exponential function, as plain loops without library calls that compilers vectorise.
namespace lathe::runtime {
namespace {

/// e^x within 2 units in the last place for x in [-87, 88], the limits beyond: 2^n times a polynomial of the
/// rest, |rest| <= ln(2) / 2 (its Taylor series up to the seventh power, error below 2^-26). NaN stays NaN.
inline float exponential(float x) {
  constexpr float kMagic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer in the lowest bits
  float limited = x < -87.f ? -87.f : x;
  limited = limited > 88.f ? 88.f : limited;
  const float shifted = limited * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float rest = (limited - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float sum = 1.f / 5040;
  sum = sum * rest + 1.f / 720;
  sum = sum * rest + 1.f / 120;
  sum = sum * rest + 1.f / 24;
  sum = sum * rest + 1.f / 6;
  sum = sum * rest + 0.5f;
  sum = sum * rest + 1.f;
  sum = sum * rest + 1.f;
  const std::int32_t power = (__builtin_bit_cast(std::int32_t, shifted) - 0x4b400000 + 127) * (1 << 23);
  return sum * __builtin_bit_cast(float, power);
}

inline void sigmoid_loop(const Call& call, Range elements) noexcept {
  const float* x = static_cast<const float*>(call.input);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = 1.f / (1.f + exponential(-x[i]));
}

inline void silu_loop(const Call& call, Range elements) noexcept {
  const float* x = static_cast<const float*>(call.input);
  float* out = static_cast<float*>(call.output);
  for (std::int64_t i = elements.begin; i < elements.end; ++i) out[i] = x[i] / (1.f + exponential(-x[i]));
}

inline void softmax_f32(const Call& call, Range rows) noexcept {
  const std::int32_t channels = static_cast<const Softmax*>(call.params)->channels;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = static_cast<const float*>(call.input) + row * channels;
    float* out = static_cast<float*>(call.output) + row * channels;
    float largest = x[0];
    for (std::int32_t c = 1; c < channels; ++c) largest = largest < x[c] ? x[c] : largest;
    for (std::int32_t c = 0; c < channels; ++c) out[c] = exponential(x[c] - largest);
    float sum = 0;
    for (std::int32_t c = 0; c < channels; ++c) sum += out[c];
    for (std::int32_t c = 0; c < channels; ++c) out[c] /= sum;
  }
}

}  // namespace
}  // namespace lathe::runtime
