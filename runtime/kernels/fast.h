#pragma once

#include "kernel.h"

/// The vector kernels, the same list at every level. Parameters: packed.h for the first group, kernel.h for
/// the others.
namespace lathe::runtime {

/// Register blocking of a level, by which its weights are packed; see V in generic/.
struct Blocking {
  std::int32_t step;       ///< integers that one instruction sums: 4 unsigned bytes or 2 of 16 bits;
                           ///< 16-bit codes: always 2
  std::int32_t tile;       ///< output columns of a convolution, f32 and i8
  std::int32_t pool_tile;  ///< pooled columns
  std::int32_t dot_f32, dot_i8, dot_i16;              ///< inputs that one step of a dot product takes
  std::int32_t outputs_f32, outputs_i8, outputs_i16;  ///< dot products together
  std::int32_t chunk_i8, chunk_i16;                   ///< codes of a depthwise convolution together
  std::int32_t parts;                                 ///< of 16 bytes in a register; 0: no registers
  bool real_rescaling;                                ///< 8-bit codes come from floats where possible
  std::int32_t sparse_vectors;                        ///< of positions in a convolution without zeros
};

// Lists are compiled apart from each other: together they take minutes.

struct FloatKernels {
  Kernel conv2d;     // PackedConv
  Kernel depthwise;  // PackedDepthwise
  Kernel linear;     // PackedLinear
};

/// Floats, with weights in half precision; null where processors need not have an instruction for it.
struct HalfKernels {
  Kernel conv2d = nullptr;  // PackedConv
  Kernel linear = nullptr;  // PackedLinear
};

/// 8-bit codes.
struct ByteKernels {
  Kernel conv2d;                                             // PackedConv
  Kernel depthwise;                                          // PackedDepthwiseCodes
  Kernel linear;                                             // PackedLinear
  Kernel conv2d_dynamic, depthwise_dynamic, linear_dynamic;  // PackedDynamic of those
};

/// 16-bit codes.
struct WordKernels {
  Kernel conv2d, conv2d_wide;  // PackedConv; wide: 64-bit sums
  Kernel depthwise;            // PackedDepthwiseCodes
  Kernel linear;               // PackedLinear
};

/// Without the weights that are 0.
struct SparseKernels {
  Kernel conv2d;                                               // SparseConv, f32
  Kernel linear;                                               // SparseLinear, f32
  Kernel block_conv2d_f32, block_conv2d_i8, block_conv2d_i16;  // PackedConv with the steps that are kept
};

struct ElementKernels {
  Kernel max_pool2d_f32, max_pool2d_i8, max_pool2d_i16, avg_pool2d_f32;  // Pool
  Kernel global_avg_pool_f32;                                            // Pool
  Kernel global_avg_pool_i8, global_avg_pool_i16;                        // PackedGlobalPool
  Kernel avg_pool2d_i8;                                                  // Pool
  Kernel add_i8;                                                         // PackedAdd
  Kernel add_i16;                                                        // PackedAddWide
  Kernel multiply_i8, multiply_channels_i8;                              // PackedMultiply
  Kernel multiply_i16, multiply_channels_i16;                            // PackedMultiply
  Kernel table_i8;                                                       // TableI8
  Kernel table_i16;                                                      // TableI16
  Kernel sigmoid_f32, silu_f32;                                          // no parameters
  Kernel softmax_f32;                                                    // Softmax
  Kernel clamp_f32, add_f32;                                             // Elements
  Kernel multiply_f32;                                                   // no parameters
  Kernel multiply_channels_f32;                                          // MultiplyChannels
  Kernel scale_shift_f32;                                                // ScaleShift
  Kernel quantize_f32_i8, quantize_f32_i16;                              // Quantization8
  Kernel dequantize_i8_f32, dequantize_i16_f32;                          // Quantization8
  Kernel shift_u8_i8;                                                    // no parameters
};

/// All of a level.
struct FastKernels {
  const Blocking& blocking;
  const FloatKernels& floats;
  const HalfKernels& halves;
  const ByteKernels& bytes;
  const WordKernels& words;
  const SparseKernels& sparse;
  const ElementKernels& elements;
};

namespace portable {
extern const Blocking kBlocking;
extern const FloatKernels kFloats;
extern const HalfKernels kHalves;
extern const ByteKernels kBytes;
extern const WordKernels kWords;
extern const SparseKernels kSparse;
extern const ElementKernels kElements;
}  // namespace portable
namespace avx2 {
extern const Blocking kBlocking;
extern const FloatKernels kFloats;
extern const HalfKernels kHalves;
extern const ByteKernels kBytes;
extern const WordKernels kWords;
extern const SparseKernels kSparse;
extern const ElementKernels kElements;
}  // namespace avx2
namespace avx512 {
extern const Blocking kBlocking;
extern const FloatKernels kFloats;
extern const HalfKernels kHalves;
extern const ByteKernels kBytes;
extern const WordKernels kWords;
extern const SparseKernels kSparse;
extern const ElementKernels kElements;
}  // namespace avx512

}  // namespace lathe::runtime
