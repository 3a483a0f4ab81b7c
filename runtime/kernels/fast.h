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
};

struct FastKernels {
  Blocking blocking;
  Kernel conv2d_f32, conv2d_i8, conv2d_i16, conv2d_i16_wide;  // PackedConv; wide: 64-bit sums
  Kernel depthwise_f32;                                       // PackedDepthwise
  Kernel depthwise_i8, depthwise_i16;                         // PackedDepthwiseCodes
  Kernel linear_f32, linear_i8, linear_i16;                   // PackedLinear
  Kernel conv2d_dynamic, depthwise_dynamic, linear_dynamic;   // PackedDynamic of those

  Kernel max_pool2d_f32, max_pool2d_i8, max_pool2d_i16, avg_pool2d_f32;  // Pool
  Kernel global_avg_pool_f32;                                            // Pool
  Kernel global_avg_pool_i8, global_avg_pool_i16;                        // PackedGlobalPool
  Kernel avg_pool2d_i8;                                                  // Pool
  Kernel add_i8;                                                         // PackedAdd
  Kernel multiply_i8, multiply_channels_i8;                              // PackedMultiply
  Kernel table_i8;                                                       // TableI8
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

namespace portable {
extern const FastKernels kKernels;
}
namespace avx2 {
extern const FastKernels kKernels;
}
namespace avx512 {
extern const FastKernels kKernels;
}

}  // namespace lathe::runtime
