#pragma once

#include "../kernel.h"

/// Plain loops for every op and dtype of a deployed graph. They define what each kernel computes: the integer
/// ones to the bit (with fixed_point.h), the float ones up to the order of sums.
namespace lathe::runtime::reference {

void conv2d_f32(const Call& call, Range rows) noexcept;      // ConvF32
void conv2d_i8(const Call& call, Range rows) noexcept;       // ConvI8
void max_pool2d_f32(const Call& call, Range rows) noexcept;  // Pool
void max_pool2d_i8(const Call& call, Range rows) noexcept;   // Pool
void avg_pool2d_f32(const Call& call,
                    Range rows) noexcept;  // Pool; a global pool has a window as large as the image
void avg_pool2d_i8(const Call& call, Range rows) noexcept;          // Pool
void global_avg_pool_i8(const Call& call, Range samples) noexcept;  // GlobalAvgPoolI8

void clamp_f32(const Call& call, Range elements) noexcept;            // Elements: relu, relu6
void sigmoid_f32(const Call& call, Range elements) noexcept;          // no parameters
void silu_f32(const Call& call, Range elements) noexcept;             // no parameters
void add_f32(const Call& call, Range elements) noexcept;              // Elements
void add_i8(const Call& call, Range elements) noexcept;               // AddI8
void multiply_f32(const Call& call, Range elements) noexcept;         // no parameters
void multiply_i8(const Call& call, Range elements) noexcept;          // MultiplyI8
void multiply_channels_f32(const Call& call, Range pixels) noexcept;  // MultiplyChannels
void multiply_channels_i8(const Call& call, Range pixels) noexcept;   // MultiplyI8
void scale_shift_f32(const Call& call, Range pixels) noexcept;        // ScaleShift: batch norm
void table_i8(const Call& call, Range elements) noexcept;             // TableI8: activations
void softmax_f32(const Call& call, Range rows) noexcept;              // Softmax
void softmax_i8(const Call& call, Range rows) noexcept;               // Softmax
void log_softmax_f32(const Call& call, Range rows) noexcept;          // Softmax
void log_softmax_i8(const Call& call, Range rows) noexcept;           // Softmax

void quantize_f32_i8(const Call& call, Range elements) noexcept;    // Quantization8
void shift_u8_i8(const Call& call, Range elements) noexcept;        // no parameters: u8 - 128
void dequantize_i8_f32(const Call& call, Range elements) noexcept;  // Quantization8

void shift_i8_u8(const Call& call, Range elements) noexcept;  // no parameters: i8 + 128

void conv2d_i16(const Call& call, Range rows) noexcept;               // ConvI16
void max_pool2d_i16(const Call& call, Range rows) noexcept;           // Pool
void avg_pool2d_i16(const Call& call, Range rows) noexcept;           // Pool
void global_avg_pool_i16(const Call& call, Range samples) noexcept;   // GlobalAvgPoolI16
void add_i16(const Call& call, Range elements) noexcept;              // AddI16
void multiply_i16(const Call& call, Range elements) noexcept;         // MultiplyI16
void multiply_channels_i16(const Call& call, Range pixels) noexcept;  // MultiplyI16
void table_i16(const Call& call, Range elements) noexcept;            // TableI16: activations
void softmax_i16(const Call& call, Range rows) noexcept;              // SoftmaxI16
void log_softmax_i16(const Call& call, Range rows) noexcept;          // SoftmaxI16
void quantize_f32_i16(const Call& call, Range elements) noexcept;     // Quantization8; divides in double
void dequantize_i16_f32(const Call& call, Range elements) noexcept;   // Quantization8

void conv2d_dynamic(const Call& call, Range samples) noexcept;  // ConvDynamic

void copy_slices(const Call& call, Range rows) noexcept;  // CopySlices: concat
void pad_image(const Call& call, Range rows) noexcept;    // PadImage: pad

}  // namespace lathe::runtime::reference
