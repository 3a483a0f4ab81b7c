#pragma once

#include "../fast.h"
#include "conv_tiles.h"
#include "depthwise.h"
#include "global_pool.h"
#include "linear_dots.h"
#include "loops.h"

namespace lathe::runtime {
namespace {

/// The list of kernels of a level, from its vector types F32 and I8 and its own quantize_f32_i8.
template <class F32, class I8>
constexpr FastKernels make_kernels(Kernel quantize) {
  static_assert(F32::kMaxTile == I8::kMaxTile && F32::kMaxPoolTile == I8::kMaxPoolTile);
  return {.blocking = {.step = I8::kStep,
                       .tile = F32::kMaxTile,
                       .pool_tile = F32::kMaxPoolTile,
                       .dot_f32 = F32::kDot,
                       .dot_i8 = I8::kDot,
                       .outputs_f32 = F32::kMaxOutputs,
                       .outputs_i8 = I8::kMaxOutputs},
          .conv2d_f32 = conv2d<F32>,
          .conv2d_i8 = conv2d<I8>,
          .depthwise_f32 = depthwise_f32<F32>,
          .depthwise_i8 = depthwise_i8<I8>,
          .linear_f32 = linear<F32>,
          .linear_i8 = linear<I8>,
          .max_pool2d_f32 = max_pool2d<float>,
          .max_pool2d_i8 = max_pool2d<std::int8_t>,
          .avg_pool2d_f32 = avg_pool2d_f32,
          .global_avg_pool_f32 = global_avg_pool_f32<F32>,
          .global_avg_pool_i8 = global_avg_pool_i8<I8>,
          .clamp_f32 = clamp_f32,
          .add_f32 = add_f32,
          .multiply_f32 = multiply_f32,
          .multiply_channels_f32 = multiply_channels_f32,
          .scale_shift_f32 = scale_shift_f32,
          .quantize_f32_i8 = quantize,
          .dequantize_i8_f32 = dequantize_i8_f32,
          .shift_u8_i8 = shift_u8_i8};
}

}  // namespace
}  // namespace lathe::runtime
