#pragma once

#include <cstdint>

/// What every kernel shares: its type and the parameters that the plan prepares for it. Plain data only: this
/// header is included by files compiled for particular instruction sets.
namespace lathe::runtime {

/// The tensors of one step. Buffers are aligned to 64; 64 bytes after the end of each may be read, never
/// written.
struct Call {
  const void* params = nullptr;  ///< the struct named at the kernel's declaration
  const void* input = nullptr;
  const void* second = nullptr;  ///< of ops with two inputs
  void* output = nullptr;
  void* scratch = nullptr;  ///< as many bytes as prepare asked for
};

/// A half-open part of a kernel's units (output rows, elements, samples: said at its parameters). Any split
/// into ranges gives the same bytes.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

using Kernel = void (*)(const Call& call, Range range) noexcept;

/// Limits that a fused activation puts on the output; infinite where there is none.
struct Clamp {
  float low = 0;
  float high = 0;
};

/// From accumulator to output code, per output channel: fixed_point.h says how (16 bits: wide_fixed_point.h).
struct Rescale {
  const std::int32_t* multiplier = nullptr;  ///< Q31, in [2^30, 2^31), or 0
  const std::int32_t* exponent = nullptr;    ///< power of two; negative shifts right
  std::int32_t zero_point = 0;
  std::int32_t low = -128;  ///< the fused activation's limits as output codes
  std::int32_t high = 127;
};

/// A window walking over images, input [N,H,W,C], output [N,H',W',O]. Unit of a range: one of the N*H' output
/// rows.
struct Window2d {
  std::int32_t batch = 1;
  std::int32_t in_h = 1, in_w = 1, in_c = 1;
  std::int32_t out_h = 1, out_w = 1, out_c = 1;
  std::int32_t kernel_h = 1, kernel_w = 1;
  std::int32_t stride_h = 1, stride_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;
};

/// Weight [O,KH,KW,C/g], bias [O] or null. A linear layer is a convolution of 1x1 images.
struct ConvF32 {
  Window2d window;
  std::int32_t groups = 1;
  const float* weight = nullptr;
  const float* bias = nullptr;
  Clamp clamp;
};

struct ConvI8 {
  Window2d window;
  std::int32_t groups = 1;
  std::int32_t in_zero_point = 0;
  const std::int8_t* weight = nullptr;
  const std::int32_t* bias = nullptr;
  Rescale rescale;
};

/// f32 pools, max_pool2d and avg_pool2d of i8 (raw codes: input and output have the same quantization).
struct Pool {
  Window2d window;
};

/// Mean of an image's pixels, i8. Unit: a sample. The one multiplier includes the division by the number of
/// pixels.
struct GlobalAvgPoolI8 {
  std::int32_t pixels = 1, channels = 1;
  std::int32_t in_zero_point = 0;
  Rescale rescale;
};

/// Element by element. Unit: an element. Activations f32: min(max(x, low), high); add: the same of the sum.
struct Elements {
  Clamp clamp;
};

/// scale[c] * x + shift[c]. Unit: a pixel (all extents but the last).
struct ScaleShift {
  std::int32_t channels = 1;
  const float* scale = nullptr;
  const float* shift = nullptr;
  Clamp clamp;
};

/// Softmax and log-softmax. Unit: a row of `channels`.
struct Softmax {
  std::int32_t channels = 1;
  /// i8: exp(input scale * -d) of d = 0..255; out = round(factor * value) + zero point
  const float* exponentials = nullptr;
  float in_scale = 1;
  float out_inverse_scale = 1;
  std::int32_t out_zero_point = 0;
};

/// a [N,H,W,C] * b [N,C]. Unit: a pixel of N*H*W.
struct MultiplyChannels {
  std::int32_t pixels = 1;  ///< H*W
  std::int32_t channels = 1;
};

/// Both inputs rescaled to a common scale with 20 more bits, added, rescaled. Unit: an element.
struct AddI8 {
  std::int32_t zero_point[2] = {};
  std::int32_t multiplier[2] = {};
  std::int32_t exponent[2] = {};
  std::int32_t out_multiplier = 0, out_exponent = 0, out_zero_point = 0;
  std::int32_t low = -128, high = 127;
};

/// Unit: an element, or a pixel when `broadcast`.
struct MultiplyI8 {
  MultiplyChannels broadcast;
  std::int32_t zero_point[2] = {};
  std::int32_t multiplier = 0, exponent = 0, out_zero_point = 0;
};

/// out = table[code + 128]. Unit: an element.
struct TableI8 {
  const std::int8_t* table = nullptr;
};

/// f32 -> i8: round half away(clamp(x * inverse_scale)) + zero_point; i8 -> f32: scale * (code - zero_point).
/// Unit: an element.
struct Quantization8 {
  float scale = 1;
  float inverse_scale = 1;  ///< 1 / scale, rounded to float once, when the plan is made
  std::int32_t zero_point = 0;
};

/// i16 activations (zero point 0), i8 weight, i64 bias or null. Unit: one of the N*H' output rows.
struct ConvI16 {
  Window2d window;
  std::int32_t groups = 1;
  const std::int8_t* weight = nullptr;
  const std::int64_t* bias = nullptr;
  Rescale rescale;
};

/// Mean of an image's pixels, i16. Unit: a sample. The one multiplier includes the division.
struct GlobalAvgPoolI16 {
  std::int32_t pixels = 1, channels = 1;
  Rescale rescale;
};

/// Both inputs rescaled to a common scale with 30 more bits, added, rescaled. Unit: an element.
struct AddI16 {
  std::int32_t multiplier[2] = {};
  std::int32_t exponent[2] = {};
  std::int32_t out_multiplier = 0, out_exponent = 0;
  std::int32_t low = -32768, high = 32767;
};

/// Unit: an element, or a pixel when `broadcast`.
struct MultiplyI16 {
  MultiplyChannels broadcast;
  std::int32_t multiplier = 0, exponent = 0;
};

/// out = table[code + 32768]. Unit: an element.
struct TableI16 {
  const std::int16_t* table = nullptr;
};

/// Softmax and log-softmax of i16, in double: out = round(factor * value). Unit: a row of `channels`.
/// Scratch: `channels` doubles.
struct SoftmaxI16 {
  std::int32_t channels = 1;
  double in_scale = 1;
  double out_inverse_scale = 1;
};

/// f32 images, i8 weight with a scale for each output channel, f32 bias or null: each image is quantized to
/// i8 as it comes (scratch: one image of codes). Unit: a sample.
struct ConvDynamic {
  Window2d window;
  std::int32_t groups = 1;
  const std::int8_t* weight = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  Clamp clamp;
};

/// Copies slices of bytes: out[row * out_stride + out_offset ...] = in[row * slice ...]. Unit: a row.
struct CopySlices {
  std::int64_t slice = 0;
  std::int64_t out_stride = 0;
  std::int64_t out_offset = 0;
};

/// Puts `fill` around images; all extents of a row in bytes. Unit: a row of N*H'.
struct PadImage {
  std::int64_t in_h = 0, out_h = 0;
  std::int64_t top = 0;
  std::int64_t left = 0, row = 0, out_row = 0;  ///< bytes
  std::uint8_t fill = 0;                        ///< f32 zeros are zero bytes
};

}  // namespace lathe::runtime
