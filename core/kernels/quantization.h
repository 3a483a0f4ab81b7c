#pragma once

#include <cstdint>

/// Real numbers that stand for integers; see reference/quantization.h for the definitions.
namespace lathe::kernels {

/// An activation's integers: value = scale * (code - zero_point), code from low to high. `average`: see
/// graph::FakeQuantize.
struct IntegerSteps {
  float scale = 1;
  std::int32_t zero_point = 0;
  std::int32_t low = -128, high = 127;
  bool average = false;
};

/// inside[i] = 1 where nothing is cut off; may be null. extremes[0] becomes the minimum of itself and all x,
/// extremes[1] the maximum; may be null. One pass over x.
void fake_quantize_forward(const IntegerSteps& steps, std::int64_t n, const float* x, float* y,
                           std::uint8_t* inside, float* extremes);

/// The same for x [n/channels,channels] that is rescaled in two steps: what is nearer than slack[c] below a
/// half counts as a half. Not for averages.
void fake_quantize_rescaled(const IntegerSteps& steps, std::int64_t channels, const float* slack,
                            std::int64_t n, const float* x, float* y);

/// dx = inside ? dy : 0
void fake_quantize_backward(std::int64_t n, const float* dy, const std::uint8_t* inside, float* dx);

/// x, y [rows,size]: each row with a scale of its own, so that its largest magnitude has the largest code.
void fake_quantize_weight(std::int64_t rows, std::int64_t size, const float* x, float* y);

}  // namespace lathe::kernels
