#pragma once

#include "../fast.h"
#include "conv_tiles.h"
#include "depthwise.h"
#include "depthwise_codes.h"
#include "dynamic.h"
#include "exponential.h"
#include "global_pool.h"
#include "linear_dots.h"
#include "loops.h"
#include "pairs.h"
#include "wide.h"

namespace lathe::runtime {
namespace {

/// The list of kernels of a level, from its vector types and its own quantization.
template <class F32, class I8, class I16, Kernel kQuantize, Kernel kQuantizeI16>
constexpr FastKernels make_kernels() {
  using Real = Dynamic<I8, F32>;
  static_assert(F32::kMaxTile == I8::kMaxTile && F32::kMaxPoolTile == I8::kMaxPoolTile);
  static_assert(I8::kParts == I16::kParts);
  static_assert(I16::kMaxTile == I8::kMaxTile && I16::kMaxPoolTile == I8::kMaxPoolTile && I16::kStep == 2);
  return {.blocking = {.step = I8::kStep,
                       .tile = F32::kMaxTile,
                       .pool_tile = F32::kMaxPoolTile,
                       .dot_f32 = F32::kDot,
                       .dot_i8 = I8::kDot,
                       .dot_i16 = I16::kDot,
                       .outputs_f32 = F32::kMaxOutputs,
                       .outputs_i8 = I8::kMaxOutputs,
                       .outputs_i16 = I16::kMaxOutputs,
                       .chunk_i8 = I8::kChunk,
                       .chunk_i16 = I16::kChunk,
                       .parts = I8::kParts,
                       .real_rescaling = I8::kRealRescaling},
          .conv2d_f32 = conv2d<F32>,
          .conv2d_i8 = conv2d<I8>,
          .conv2d_i16 = conv2d<I16>,
          .conv2d_i16_wide = conv2d<Wide<I16>>,
          .depthwise_f32 = depthwise_f32<F32>,
          .depthwise_i8 = depthwise_codes<I8>,
          .depthwise_i16 = depthwise_codes<I16>,
          .linear_f32 = linear<F32>,
          .linear_i8 = linear<I8>,
          .linear_i16 = linear<Wide<I16>>,
          .conv2d_dynamic = dynamic<PackedConv, kQuantize, conv2d<Real>>,
          .depthwise_dynamic = dynamic<PackedDepthwiseCodes, kQuantize, depthwise_codes<Real>>,
          .linear_dynamic = dynamic<PackedLinear, kQuantize, linear<Real>>,
          .max_pool2d_f32 = max_pool2d<float>,
          .max_pool2d_i8 = max_pool2d<std::int8_t>,
          .max_pool2d_i16 = max_pool2d<std::int16_t>,
          .avg_pool2d_f32 = avg_pool2d_f32,
          .global_avg_pool_f32 = global_avg_pool_f32<F32>,
          .global_avg_pool_i8 = global_avg_pool_codes<I8>,
          .global_avg_pool_i16 = global_avg_pool_codes<I16>,
          .avg_pool2d_i8 = avg_pool2d_i8,
          .add_i8 = add_pair<I8>,
          .multiply_i8 = multiply_pair<I8, false>,
          .multiply_channels_i8 = multiply_pair<I8, true>,
          .table_i8 = table_i8,
          .sigmoid_f32 = sigmoid_f32,
          .silu_f32 = silu_f32,
          .softmax_f32 = softmax_f32,
          .clamp_f32 = clamp_f32,
          .add_f32 = add_f32,
          .multiply_f32 = multiply_f32,
          .multiply_channels_f32 = multiply_channels_f32,
          .scale_shift_f32 = scale_shift_f32,
          .quantize_f32_i8 = kQuantize,
          .quantize_f32_i16 = kQuantizeI16,
          .dequantize_i8_f32 = dequantize_i8_f32,
          .dequantize_i16_f32 = dequantize_i16_f32,
          .shift_u8_i8 = shift_u8_i8};
}

}  // namespace
}  // namespace lathe::runtime
