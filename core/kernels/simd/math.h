#pragma once

/// Functions of one float that the compiler vectorises. For the kernels of this folder only: LATHE_LEVEL must
/// be set.
namespace lathe::kernels::simd::LATHE_LEVEL {

/// exp(x) with a relative error below 2e-7, 0 below -104, infinite above 88.8; NaN stays NaN.
/// x = n ln2 + r, |r| <= ln2/2 (Cody & Waite 1980: ln2 in two parts), exp(r) by interpolation at Chebyshev
/// nodes.
inline __attribute__((always_inline)) float exp_of(float x) {
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;
  // 1.5 * 2^23: the sum's last bit stands for 1, so adding it rounds to an integer and leaves that in the low
  // bits.
  constexpr float kMagic = 12582912.0f;
  const float shifted = x * 1.44269504f + kMagic;
  const unsigned n = __builtin_bit_cast(unsigned, shifted) - __builtin_bit_cast(unsigned, kMagic);
  const float whole = shifted - kMagic;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  float p = 0.00139261899f;
  p = p * r + 0.00836318452f;
  p = p * r + 0.0416665561f;
  p = p * r + 0.166665763f;
  p = p * r + 0.5f;
  p = p * (r * r) + r + 1.0f;
  // 2^n in two factors: n reaches from -150 to 128, beyond the exponents of one float.
  const unsigned half = static_cast<unsigned>(static_cast<int>(n) >> 1);
  return p * __builtin_bit_cast(float, (half + 127u) << 23) *
         __builtin_bit_cast(float, (n - half + 127u) << 23);
}

inline __attribute__((always_inline)) float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

/// The activations that are fused: none 0, relu 1, relu6 2. NaN stays NaN.
template <int kActivation>
inline __attribute__((always_inline)) float clamp_of(float x) {
  if constexpr (kActivation == 0) return x;
  const float positive = x < 0.0f ? 0.0f : x;
  if constexpr (kActivation == 2) return positive > 6.0f ? 6.0f : positive;
  return positive;
}

/// dy where the clamp let its input through, told by its output or its input.
template <int kActivation>
inline __attribute__((always_inline)) float masked(float value, float dy) {
  if constexpr (kActivation == 0) return dy;
  if constexpr (kActivation == 2) return ((value > 0.0f) & (value < 6.0f)) ? dy : 0.0f;
  return value > 0.0f ? dy : 0.0f;
}

}  // namespace lathe::kernels::simd::LATHE_LEVEL
