#include "../fixed_point.h"
#include "reference.h"
#include "views.h"

#include <algorithm>
#include <cmath>

namespace lathe::runtime::reference {

void softmax_f32(const Call& call, Range rows) noexcept {
  const std::int32_t channels = params<Softmax>(call).channels;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = input<float>(call) + row * channels;
    float* out = output<float>(call) + row * channels;
    const float largest = *std::max_element(x, x + channels);
    float sum = 0;
    for (std::int32_t c = 0; c < channels; ++c) sum += out[c] = std::exp(x[c] - largest);
    for (std::int32_t c = 0; c < channels; ++c) out[c] /= sum;
  }
}

void log_softmax_f32(const Call& call, Range rows) noexcept {
  const std::int32_t channels = params<Softmax>(call).channels;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const float* x = input<float>(call) + row * channels;
    float* out = output<float>(call) + row * channels;
    const float largest = *std::max_element(x, x + channels);
    float sum = 0;
    for (std::int32_t c = 0; c < channels; ++c) sum += std::exp(x[c] - largest);
    const float normaliser = largest + std::log(sum);
    for (std::int32_t c = 0; c < channels; ++c) out[c] = x[c] - normaliser;
  }
}

// The exponentials come from a table of 256 floats, summed in order: the same bytes on every machine.
void softmax_i8(const Call& call, Range rows) noexcept {
  const auto& p = params<Softmax>(call);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int8_t* x = input<std::int8_t>(call) + row * p.channels;
    std::int8_t* out = output<std::int8_t>(call) + row * p.channels;
    const std::int32_t largest = *std::max_element(x, x + p.channels);
    float sum = 0;
    for (std::int32_t c = 0; c < p.channels; ++c) sum += p.exponentials[largest - x[c]];
    for (std::int32_t c = 0; c < p.channels; ++c)
      out[c] = to_code(p.exponentials[largest - x[c]] / sum * p.out_inverse_scale, p.out_zero_point);
  }
}

void log_softmax_i8(const Call& call, Range rows) noexcept {
  const auto& p = params<Softmax>(call);
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int8_t* x = input<std::int8_t>(call) + row * p.channels;
    std::int8_t* out = output<std::int8_t>(call) + row * p.channels;
    const std::int32_t largest = *std::max_element(x, x + p.channels);
    float sum = 0;
    for (std::int32_t c = 0; c < p.channels; ++c) sum += p.exponentials[largest - x[c]];
    const float normaliser = std::log(sum);
    for (std::int32_t c = 0; c < p.channels; ++c) {
      const float value = p.in_scale * static_cast<float>(x[c] - largest) - normaliser;
      out[c] = to_code(value * p.out_inverse_scale, p.out_zero_point);
    }
  }
}

}  // namespace lathe::runtime::reference
