#pragma once

#include <lathe/base/error.h>

#include "kernel_table.h"

/// Prepare functions of the kernel table and what they share. Each fills the parameter struct of the same
/// family in kernels/kernel.h.
namespace lathe::runtime {

// prepare_window.cpp
bool prepare_conv_f32(const Site& site, Store& store, Prepared& prepared);  // ConvF32; conv2d and linear
bool prepare_conv_i8(const Site& site, Store& store, Prepared& prepared);   // ConvI8; conv2d and linear
bool prepare_pool(const Site& site, Store& store, Prepared& prepared);  // Pool; max, average, global average
bool prepare_global_pool_i8(const Site& site, Store& store, Prepared& prepared);  // GlobalAvgPoolI8

// prepare_elementwise.cpp
bool prepare_clamp(const Site& site, Store& store, Prepared& prepared);  // Elements; relu, relu6
template <graph::Activation kActivation>
bool prepare_activation(const Site& site, Store& store, Prepared& prepared);  // none; kActivation only
extern template bool prepare_activation<graph::Activation::sigmoid>(const Site&, Store&, Prepared&);
extern template bool prepare_activation<graph::Activation::silu>(const Site&, Store&, Prepared&);
bool prepare_table_i8(const Site& site, Store& store, Prepared& prepared);      // TableI8
bool prepare_add_f32(const Site& site, Store& store, Prepared& prepared);       // Elements
bool prepare_add_i8(const Site& site, Store& store, Prepared& prepared);        // AddI8
bool prepare_multiply_f32(const Site& site, Store& store, Prepared& prepared);  // none; equal shapes only
bool prepare_multiply_i8(const Site& site, Store& store,
                         Prepared& prepared);  // MultiplyI8; equal shapes only
bool prepare_multiply_channels_f32(const Site& site, Store& store, Prepared& prepared);  // MultiplyChannels
bool prepare_multiply_channels_i8(const Site& site, Store& store, Prepared& prepared);   // MultiplyI8
bool prepare_batch_norm(const Site& site, Store& store, Prepared& prepared);             // ScaleShift
bool prepare_softmax(const Site& site, Store& store, Prepared& prepared);                // Softmax
bool prepare_quantize(const Site& site, Store& store, Prepared& prepared);    // Quantization8, from f32
bool prepare_shift(const Site& site, Store& store, Prepared& prepared);       // none, from u8
bool prepare_dequantize(const Site& site, Store& store, Prepared& prepared);  // Quantization8
bool prepare_concat(const Site& site, Store& store, Prepared& prepared);      // CopySlices
bool prepare_pad(const Site& site, Store& store, Prepared& prepared);         // PadImage

// prepare_wide.cpp
bool prepare_conv_i16(const Site& site, Store& store, Prepared& prepared);  // ConvI16; conv2d and linear
bool prepare_global_pool_i16(const Site& site, Store& store, Prepared& prepared);        // GlobalAvgPoolI16
bool prepare_add_i16(const Site& site, Store& store, Prepared& prepared);                // AddI16
bool prepare_multiply_i16(const Site& site, Store& store, Prepared& prepared);           // MultiplyI16
bool prepare_multiply_channels_i16(const Site& site, Store& store, Prepared& prepared);  // MultiplyI16
bool prepare_table_i16(const Site& site, Store& store, Prepared& prepared);              // TableI16
bool prepare_softmax_i16(const Site& site, Store& store, Prepared& prepared);            // SoftmaxI16
bool prepare_conv_dynamic(const Site& site, Store& store, Prepared& prepared);           // ConvDynamic

// prepare.cpp

/// int32 from int64 of a verified shape; throws Error when it does not fit.
std::int32_t narrow(std::int64_t extent);

/// Limits of a fused activation. Sigmoid and silu are steps of their own in a plan and cannot come here.
Clamp clamp_of(graph::Activation activation);

/// What an activation makes of a real number.
double activated(graph::Activation activation, double x);

/// A factor > 0 as multiplier * 2^(exponent - 31); factors with a smaller exponent than `smallest` are 0.
struct FixedFactor {
  std::int32_t multiplier = 0;
  std::int32_t exponent = 0;
};
constexpr std::int32_t kSmallestExponent = -31;
constexpr std::int32_t kSmallestWideExponent = -62;  ///< of 64-bit accumulators
FixedFactor to_fixed(double factor, std::int32_t smallest = kSmallestExponent);

/// Scale of an activation (one for the tensor).
double scale_of(const graph::Value& value);
std::int32_t zero_point_of(const graph::Value& value);

/// The limits of an activation as output codes.
void set_code_limits(graph::Activation activation, const graph::Value& output, std::int32_t& low,
                     std::int32_t& high);

/// The same for 16-bit codes.
void set_wide_limits(graph::Activation activation, const graph::Value& output, std::int32_t& low,
                     std::int32_t& high);

/// Rescaling of a convolution or linear layer: s_in * s_weight[c] / s_out for each of the output channels.
Rescale rescale_of(const Site& site, graph::Activation activation, Store& store);

/// Of the sum of an image's pixels to their mean, i8.
Rescale global_pool_rescale(const Site& site, std::int32_t pixels, Store& store);

/// As rescale_of, for 16-bit activations (zero point 0), whose accumulators may have 64 bits.
Rescale wide_rescale_of(const Site& site, graph::Activation activation, Store& store);
/// By one factor for all channels.
Rescale wide_rescale_of(const Site& site, double factor, Store& store);

/// A constant operand's elements; throws Error when it is not a constant.
template <typename T>
std::span<const T> constant(const Site& site, std::size_t index) {
  const graph::Value& value = site.input(index);
  check(value.is_constant(), "operand {} ({}) must be a constant", index, value.name);
  return value.elements<T>();
}

/// Parameters of a convolution, or of a linear layer seen as a convolution of 1x1 images.
struct ConvSite {
  Window2d window;
  std::int32_t groups = 1;
  graph::Activation activation = graph::Activation::none;
};
ConvSite conv_site(const Site& site);

}  // namespace lathe::runtime
