#pragma once

#include "../kernel.h"
#include "../packed.h"
#include "exponential.h"

/// Sigmoid and SiLU in floats, for a vector type V (conv_tiles.h) with
///   sigmoid      1 / (1 + 2^n * 2^rest), n the integer nearest to -x * log2(e): within 2e-7 of it
///   times, store
/// or, where V has none, as plain loops (which plans take only where compilers make vectors of them).
namespace lathe::runtime {
namespace {

template <class V, bool kTimesInput>
void sigmoid_elements(const Call& call, Range elements) noexcept {
  const float* x = static_cast<const float*>(call.input);
  float* out = static_cast<float*>(call.output);
  const auto some = [&](std::int64_t i, typename V::Mask mask) __attribute__((always_inline)) {
    const typename V::Sum value = V::load_x(x + i), result = V::sigmoid(value);
    V::store(out + i, kTimesInput ? V::times(value, result) : result, mask);
  };
  std::int64_t i = elements.begin;
  for (; i + kLanes <= elements.end; i += kLanes) some(i, V::mask(kLanes));
  if (i < elements.end) some(i, V::mask(static_cast<std::int32_t>(elements.end - i)));
}

template <class V>
void sigmoid_f32(const Call& call, Range elements) noexcept {
  if constexpr (requires { &V::sigmoid; }) {
    sigmoid_elements<V, false>(call, elements);
  } else {
    sigmoid_loop(call, elements);
  }
}

template <class V>
void silu_f32(const Call& call, Range elements) noexcept {
  if constexpr (requires { &V::sigmoid; }) {
    sigmoid_elements<V, true>(call, elements);
  } else {
    silu_loop(call, elements);
  }
}

}  // namespace
}  // namespace lathe::runtime
