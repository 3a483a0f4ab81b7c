#pragma once

#include "../fast.h"
#include "activations.h"
#include "global_pool.h"
#include "loops.h"
#include "pairs.h"

namespace lathe::runtime {
namespace {

template <class F32, class I8, class I16>
constexpr Blocking make_blocking() {
  static_assert(F32::kMaxTile == I8::kMaxTile && F32::kMaxPoolTile == I8::kMaxPoolTile);
  static_assert(I8::kParts == I16::kParts);
  static_assert(I16::kMaxTile == I8::kMaxTile && I16::kMaxPoolTile == I8::kMaxPoolTile && I16::kStep == 2);
  return {.step = I8::kStep,
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
          .real_rescaling = I8::kRealRescaling,
          .sparse_vectors = F32::kSparseVectors};
}

/// The kernels that levels have of their own.
struct OwnElements {
  Kernel table_i8, quantize_f32_i8, quantize_f32_i16;
};

template <class F32, class I8, class I16>
constexpr ElementKernels make_elements(const OwnElements& own) {
  return {.max_pool2d_f32 = max_pool2d<float>,
          .max_pool2d_i8 = max_pool2d<std::int8_t>,
          .max_pool2d_i16 = max_pool2d<std::int16_t>,
          .avg_pool2d_f32 = avg_pool2d_f32,
          .global_avg_pool_f32 = global_avg_pool_f32<F32>,
          .global_avg_pool_i8 = global_avg_pool_codes<I8>,
          .global_avg_pool_i16 = global_avg_pool_codes<I16>,
          .avg_pool2d_i8 = avg_pool2d_i8,
          .add_i8 = add_pair<I8>,
          .add_i16 = add_wide<I16>,
          .multiply_i8 = multiply_pair<I8, false>,
          .multiply_channels_i8 = multiply_pair<I8, true>,
          .multiply_i16 = multiply_pair<I16, false>,
          .multiply_channels_i16 = multiply_pair<I16, true>,
          .table_i8 = own.table_i8,
          .table_i16 = table_i16,
          .sigmoid_f32 = sigmoid_f32<F32>,
          .silu_f32 = silu_f32<F32>,
          .softmax_f32 = softmax_f32,
          .clamp_f32 = clamp_f32,
          .add_f32 = add_f32,
          .multiply_f32 = multiply_f32,
          .multiply_channels_f32 = multiply_channels_f32,
          .scale_shift_f32 = scale_shift_f32,
          .quantize_f32_i8 = own.quantize_f32_i8,
          .quantize_f32_i16 = own.quantize_f32_i16,
          .dequantize_i8_f32 = dequantize_i8_f32,
          .dequantize_i16_f32 = dequantize_i16_f32,
          .shift_u8_i8 = shift_u8_i8};
}

}  // namespace
}  // namespace lathe::runtime
