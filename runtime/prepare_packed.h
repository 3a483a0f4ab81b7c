#pragma once

#include "kernel_table.h"
#include "kernels/packed.h"

#include <span>
#include <vector>

/// Prepare functions of the vector kernels: they pack weights as kernels/packed.h says, for the blocking of
/// the level.
namespace lathe::runtime {

// prepare_packed.cpp
bool prepare_packed_conv_f32(const Site& site, Store& store,
                             Prepared& prepared);  // PackedConv, also with pool
bool prepare_packed_conv_i8(const Site& site, Store& store,
                            Prepared& prepared);  // PackedConv, also with pool
bool prepare_packed_linear_f32(const Site& site, Store& store, Prepared& prepared);  // PackedLinear
bool prepare_packed_linear_i8(const Site& site, Store& store, Prepared& prepared);   // PackedLinear

// prepare_depthwise.cpp
bool prepare_packed_depthwise_f32(const Site& site, Store& store, Prepared& prepared);  // PackedDepthwise
bool prepare_packed_depthwise_i8(const Site& site, Store& store, Prepared& prepared);   // PackedDepthwise
bool prepare_packed_global_pool(const Site& site, Store& store, Prepared& prepared);    // PackedGlobalPool

// lane_rescale.cpp

/// Rescaling of an op's output channels, as they repeat over `lanes` lanes (lane i is channel i % channels;
/// beyond `valid` lanes nothing matters). bound[c]: no accumulator of the channel is larger. Null when a
/// factor is out of the range for which the 64-bit form is exact (packed.h); the reference kernel takes
/// those.
const LaneRescale* make_lane_rescale(const Rescale& rescale, std::span<const std::int64_t> bound,
                                     std::size_t lanes, Store& store);

/// The limits of the codes, and whether codes below the zero point can come out.
CodeLimits code_limits(const Rescale& rescale);

/// An int8 weight's channel sums, and bounds on its accumulators (codes - zero point are within +-255).
struct ChannelSums {
  std::vector<std::int32_t> weight;
  std::vector<std::int64_t> bound;
};
ChannelSums channel_sums(std::span<const std::int8_t> weight, std::span<const std::int32_t> bias,
                         std::int64_t channels);

/// bias - offset * sum of the weights, modulo 2^32 like the accumulators themselves.
std::int32_t corrected_bias(std::int32_t bias, std::int32_t offset, std::int32_t weight_sum);

std::int64_t round_up(std::int64_t value, std::int64_t multiple);

}  // namespace lathe::runtime
