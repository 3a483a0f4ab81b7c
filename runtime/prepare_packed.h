#pragma once

#include "kernel_table.h"
#include "kernels/packed.h"

#include <cstdint>
#include <span>
#include <vector>

/// Prepare functions of the vector kernels: they pack weights as kernels/packed.h says, for the blocking of
/// the level.
namespace lathe::runtime {

struct ConvSite;

// prepare_packed.cpp: convolutions, also with pool (PackedConv)
bool prepare_packed_conv_f32(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_conv_i8(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_conv_i16(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_conv_i16_wide(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_conv_dynamic(const Site& site, Store& store, Prepared& prepared);  // PackedDynamic
// without the steps of sixteen channels whose weights are all 0
bool prepare_block_conv_f32(const Site& site, Store& store, Prepared& prepared);
bool prepare_block_conv_i8(const Site& site, Store& store, Prepared& prepared);
bool prepare_block_conv_i16(const Site& site, Store& store, Prepared& prepared);
// with weights that are all halves and so many that fetching them takes the time
bool prepare_half_conv_f32(const Site& site, Store& store, Prepared& prepared);

// prepare_linear.cpp: linear layers (PackedLinear)
bool prepare_packed_linear_f32(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_linear_i8(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_linear_i16(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_linear_dynamic(const Site& site, Store& store, Prepared& prepared);  // PackedDynamic
bool prepare_half_linear_f32(const Site& site, Store& store, Prepared& prepared);
// with weights that are at most sixteen different numbers
bool prepare_palette_linear_f32(const Site& site, Store& store, Prepared& prepared);  // PaletteLinear

/// Does a 2x2 pool with stride 2 and no padding follow?
bool poolable(const Site& site, const ConvSite& conv);

// prepare_sparse.cpp
bool prepare_sparse_conv_f32(const Site& site, Store& store,
                             Prepared& prepared);  // SparseConv, also with pool
bool prepare_sparse_linear_f32(const Site& site, Store& store, Prepared& prepared);  // SparseLinear

// prepare_depthwise.cpp
bool prepare_packed_depthwise_f32(const Site& site, Store& store, Prepared& prepared);      // PackedDepthwise
bool prepare_packed_depthwise_i8(const Site& site, Store& store, Prepared& prepared);       // PackedDepthwise
bool prepare_packed_depthwise_i16(const Site& site, Store& store, Prepared& prepared);      // PackedDepthwise
bool prepare_packed_depthwise_dynamic(const Site& site, Store& store, Prepared& prepared);  // PackedDynamic
bool prepare_packed_global_pool_i8(const Site& site, Store& store, Prepared& prepared);   // PackedGlobalPool
bool prepare_packed_global_pool_i16(const Site& site, Store& store, Prepared& prepared);  // PackedGlobalPool

// prepare_pairs.cpp
bool prepare_packed_add_i8(const Site& site, Store& store, Prepared& prepared);   // PackedAdd
bool prepare_real_add_i8(const Site& site, Store& store, Prepared& prepared);     // RealAddI8
bool prepare_packed_add_i16(const Site& site, Store& store, Prepared& prepared);  // PackedAddWide
// PackedMultiply
bool prepare_packed_multiply_i8(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_multiply_channels_i8(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_multiply_i16(const Site& site, Store& store, Prepared& prepared);
bool prepare_packed_multiply_channels_i16(const Site& site, Store& store, Prepared& prepared);

/// The bits of weights that are all halves; empty when one is not, or when they are few.
std::vector<std::uint16_t> halves_of(std::span<const float> weight);

std::int64_t round_up(std::int64_t value, std::int64_t multiple);

}  // namespace lathe::runtime
