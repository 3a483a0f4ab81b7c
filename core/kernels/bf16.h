#pragma once

#include "conv.h"
#include "linear.h"

/// Convolutions and linear layers whose operands are rounded to bf16 (core/precision.h). The processor must
/// be able to: onednn/bf16.h.
namespace lathe::kernels::bf16 {

/// Which layers do so. oneDNN multiplies whole blocks of 16 input channels, those that are missing filled up
/// with zeros: with fewer, and in depthwise convolutions, which have one channel a group, most of that is
/// waste.
inline bool takes(const ConvShape& s) { return s.c / s.groups >= 16; }
inline bool takes(const LinearShape& s) { return s.i >= 16; }

void conv_forward(const ConvShape& shape, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y);
void conv_backward(const ConvShape& shape, Clamp clamp, const ConvGradients& g);

/// y = x * weight'
void linear_forward(const LinearShape& shape, const float* x, const float* weight, float* y);
void linear_backward(const LinearShape& shape, Clamp clamp, const LinearGradients& g);

}  // namespace lathe::kernels::bf16
