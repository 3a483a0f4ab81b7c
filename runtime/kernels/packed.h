#pragma once

#include "kernel.h"

#include <cstddef>

/// Parameters of the vector kernels: weights packed for sixteen output lanes at a time. One layout serves
/// every instruction set; integer inputs are grouped by as many neighbours as the multiply-add instruction
/// sums (`step`): 4 unsigned bytes (VNNI) or 2 16-bit numbers. Plain data only.
namespace lathe::runtime {

constexpr std::int32_t kLanes = 16;

/// Rescaling of sixteen channels in 64 bits, the same numbers as fixed_point.h gives for right shifts e >= 1:
/// with a the accumulator, m the multiplier and x = (a * m + 2^30) >> 31 the first step,
///   code = (x + 2^(e-1) - (x < 0)) >> e + zero point = (a * m + offset - (a < 0 ? 2^31 : 0)) >> (31 + e)
/// with offset = 2^30 + 2^(30+e) + zero_point * 2^(31+e), because nested floors of quotients by powers of two
/// are one floor. The term for a < 0 matters only to codes below the zero point: with a fused relu it is left
/// out (`negative` in the params).
///
/// 16-bit codes are rounded once, halves away from zero (wide_fixed_point.h): code = (a * m + offset - (a < 0
/// ? 1 : 0)) >> (31 + e) with offset = 2^(30+e). Accumulators of more than 32 bits (generic/wide.h) take the
/// same multiplier and shift.
///
/// 8-bit codes have a form in floats, too, where one is found (runtime/real_rescale.h): the same codes with
/// half the instructions.
struct LaneRescale {
  std::int32_t multiplier[kLanes];
  std::int32_t odd_multiplier[kLanes];   ///< that of lane i + 1 in lane i = 0, 2, 4, ...
  std::int64_t even_offset[kLanes / 2];  ///< of lanes 0, 2, 4, ...
  std::int64_t odd_offset[kLanes / 2];
  std::int32_t shift[kLanes];  ///< e - 1, after the upper 32 bits of the 64 have been taken
  float factor[kLanes], offset[kLanes];
  float below[kLanes];  ///< offset of negative accumulators
  std::int32_t exception[kLanes], delta[kLanes];
};

/// How codes come from accumulators: fixed point, without the term for negative accumulators, floats with
/// exceptions and an offset of their own for negative accumulators, floats with exceptions, floats.
enum class Rescaling : std::uint8_t { negative, fixed, two_sided, exceptions, real };

/// What rounding takes off the product of a negative accumulator.
template <typename Code>
constexpr std::int64_t kNegativeTerm = sizeof(Code) == 1 ? std::int64_t{1} << 31 : 1;

/// From a 32-bit sum of a layer that quantizes its input to a float: factor * sum + bias.
struct LaneFactors {
  float factor[kLanes];
  float bias[kLanes];
};

struct CodeLimits {
  std::int32_t low = -128, high = 127;
  Rescaling rescaling = Rescaling::negative;
};

/// Up to sixteen neighbouring output channels of one group.
struct ConvBlock {
  const void* weight = nullptr;   ///< [runs][steps][16][step]; in sparse kernels [kept][16][step]
  const void* bias = nullptr;     ///< [16] f32, i32 or (64-bit sums) i64
  const void* rescale = nullptr;  ///< LaneRescale or LaneFactors
  std::int32_t in_offset = 0;     ///< first input channel of the group
  std::int32_t out_offset = 0;    ///< first output channel
  std::int32_t lanes = kLanes;    ///< channels that exist
  /// Sparse kernels: the steps with a weight that is not 0, as elements from the window's first element.
  const std::int32_t* kept_offset = nullptr;
  std::int32_t kept = 0;
};

/// How an image gets into the scratch memory in the form the kernel multiplies, with its padding around.
struct Staging {
  bool needed = false;             ///< else the kernel reads the input itself
  std::int32_t in_h = 0, row = 0;  ///< rows of the image, elements of a row
  std::int32_t top = 0, left = 0;  ///< rows above, elements before a row
  std::int32_t h = 0, staged_row = 0;
  std::int32_t zero_point = 0;  ///< integers: what padding stands for
};

/// A convolution as dot products of `runs` pieces of contiguous memory: KH rows of KW*C elements, or with
/// groups KH*KW pieces of C/g. Optionally a 2x2 maximum pool with stride 2 over its output, which then is
/// what the convolution's output means below. Unit: an output row; with `pixels` a pixel of it.
struct PackedConv {
  Staging staging;
  std::int32_t batch = 1;
  std::int32_t out_h = 1, out_w = 1, out_c = 1;
  std::int64_t image_step = 0;  ///< elements between images of the input
  std::int32_t row_step =
      0;  ///< staged elements between windows of neighbouring output rows (before pooling)
  std::int32_t pixel_step = 0;   ///< ... and columns
  std::int32_t window_rows = 0;  ///< staged rows that one output row reads, and
  std::int32_t rows_down = 0;    ///< by how many they move from one output row to the next
  std::int32_t runs = 0;
  const std::int32_t* run_offset = nullptr;  ///< [runs] elements from the window's first element
  std::int32_t steps = 0;                    ///< of each run
  std::int32_t cuts = 1;                     ///< runs that a contiguous piece was cut into
  std::int32_t blocks = 0;
  const ConvBlock* block = nullptr;
  std::int32_t tile = 1;  ///< output columns computed together
  bool pixels = false;    ///< windows of one pixel: all of all images are one row
  std::int64_t units = 0;
  bool pool = false;
  std::int32_t patch_stride = 0;  ///< of a 3x3 window on one channel with equal strides: the stride; else 0
  Clamp clamp;
  CodeLimits limits;
};

/// Depthwise 2-d convolution of floats, channel multiplier 1. Output rows are cut into segments of contiguous
/// lanes: with stride 1 as many columns as are next to each other are one segment of columns*C lanes, over
/// which the weights repeat with a period that is a multiple of 16 (so that no lane is idle whatever C is);
/// else each output pixel is a segment. Unit: an output row.
///
/// The image itself is read, a line of zeros (the scratch memory) standing for rows outside; columns whose
/// window leaves the image are computed apart.
struct PackedDepthwise {
  std::int32_t batch = 1;
  std::int32_t in_h = 1, in_row = 1;  ///< rows are in lanes
  std::int32_t out_h = 1, out_row = 1;
  std::int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;
  std::int32_t channels = 1;  ///< lanes of one step to the right
  std::int32_t out_w = 1;
  std::int32_t inner_begin = 0, inner_end = 0;  ///< output columns whose window lies within the image
  bool flat = false;                            ///< neighbouring columns are one segment
  std::int32_t period = kLanes;                 ///< lanes after which the weights repeat
  const float* weight = nullptr;                ///< [KW][KH][period]
  const float* bias = nullptr;                  ///< [period]
  Clamp clamp;
};

/// What a plane of a staged row consists of, in elements but `columns`.
struct DepthwisePlane {
  std::int32_t from = 0;               ///< of a row of the image, its first column
  std::int32_t columns = 0;            ///< that exist
  std::int32_t before = 0, after = 0;  ///< padding
};

/// The same of codes. Rows are staged in the scratch memory with their padding, the columns of each residue
/// by the horizontal stride apart (`planes`), so that neighbouring outputs read neighbouring elements. A
/// chunk of outputs is computed at once (as many codes as a register holds): `step` rows are interleaved in
/// registers, so that one instruction sums a column of the window. Interleaving works within 16 bytes, which
/// leaves the lanes in the order of LaneOrder (integer_layer.h); weights, bias and rescaling have that order.
/// Unit: an output row.
struct PackedDepthwiseCodes {
  std::int32_t batch = 1;
  std::int32_t in_h = 1, in_w = 1, channels = 1;
  std::int32_t out_h = 1, out_w = 1;
  std::int32_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;
  std::int32_t plane = 0;                  ///< elements of a plane of a staged row
  const DepthwisePlane* planes = nullptr;  ///< [stride_w]
  std::int32_t row = 0;                    ///< elements of a staged row: its planes and room for a chunk
  const std::int32_t* tap = nullptr;       ///< [KW] where in a staged row the column of the window is
  std::int32_t strip = 1;                  ///< output rows whose rows are staged together
  std::int32_t together = 1;               ///< output rows computed together: 2 share the rows that both read
  std::int32_t groups = 1;                 ///< of `step` rows: ceil((KH + together - 1) / step)
  bool flat = false;        ///< a row of the output is one segment of lanes, else each pixel is
  std::int32_t chunks = 1;  ///< of different weights; over a flat row they repeat
  std::int32_t zero_point = 0;
  const void* weight = nullptr;   ///< [chunks][groups][KW][together][chunk][step]
  const void* bias = nullptr;     ///< [chunks][chunk]
  const void* rescale = nullptr;  ///< LaneRescale or LaneFactors [chunks][chunk / 16]
  Clamp clamp;
  CodeLimits limits;
};

/// Linear layer as dot products along the inputs. Unit: a sample.
struct PackedLinear {
  std::int32_t inputs = 0, outputs = 0;
  std::int32_t group = 1;         ///< outputs computed together; the last group may have fewer
  const void* weight = nullptr;   ///< f32 or i8, for each group [ceil(I/vector)][outputs of the
                                  ///< group][vector]; vector: the dot_ numbers of Blocking
  const void* bias = nullptr;     ///< [O] padded to 16
  const void* rescale = nullptr;  ///< LaneRescale or LaneFactors [ceil(O/16)]
  Clamp clamp;
  CodeLimits limits;
};

/// Mean of an image's pixels, i8 or i16. Unit: a sample.
struct PackedGlobalPool {
  std::int32_t pixels = 1, channels = 1;
  const std::int32_t* start = nullptr;   ///< [16] what makes up for the zero point: -pixels * zero point
  const LaneRescale* rescale = nullptr;  ///< of every sixteen channels
  CodeLimits limits;
};

/// How 8-bit codes enter a sum or product: (code + start) * factor, start being minus the zero point.
struct PackedCodes {
  const std::int32_t* start = nullptr;   ///< [16], all the same
  const std::int32_t* factor = nullptr;  ///< [16]
};

/// Sum of two images of 8-bit codes (kernel.h, AddI8). The common scale is twice the larger of the two, so
/// that the coarser codes only move by 19 bits; the finer ones move by 20 and are rescaled. Unit: an element.
struct PackedAdd {
  PackedCodes coarse, fine;
  bool swapped = false;  ///< the second input is the coarser one
  const LaneRescale* align = nullptr;
  const LaneRescale* rescale = nullptr;
  CodeLimits limits;
};

/// Sum of two images of 16-bit codes (kernel.h, AddI16). Unit: an element.
struct PackedAddWide {
  std::int32_t multiplier[2] = {};
  std::int32_t shift[2] = {1, 1};  ///< 1 or more
  const LaneRescale* rescale = nullptr;
  CodeLimits limits;
};

/// Product of two images of codes (kernel.h, MultiplyI8 and MultiplyI16). Unit: an element, or with broadcast
/// a pixel.
struct PackedMultiply {
  const std::int32_t* start[2] = {};  ///< [16] minus the zero point, all the same
  std::int32_t pixels = 1, channels = 1;
  const LaneRescale* rescale = nullptr;
  CodeLimits limits;
};

/// A layer with f32 images and i8 weights that quantizes each image to i8 as it comes. `layer` is for one
/// image and without bias and rescale, which are made for each image. Unit: a sample.
template <typename Layer>
struct PackedDynamic {
  Layer layer;
  std::int64_t in_size = 0, out_size = 0;    ///< elements of an image
  std::int32_t lanes = 0;                    ///< of all output channels, a multiple of 16
  const std::int32_t* weight_sum = nullptr;  ///< [lanes]
  const LaneFactors* factors = nullptr;      ///< [lanes / 16] factor: scale of the weight; bias -0 is none
  /// The kernel multiplies code - zero point + the sum of `offset` and, with_zero_point, the zero point.
  std::int32_t offset = 0;
  bool with_zero_point = true;
  /// In the scratch memory, after the codes: lanes of 32 bits, LaneFactors, blocks of a convolution, the
  /// layer's own.
  std::int64_t start_at = 0, factors_at = 0, blocks_at = 0, inner_at = 0;
};

}  // namespace lathe::runtime
