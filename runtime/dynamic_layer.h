#pragma once

#include "kernels/packed.h"
#include "prepare.h"
#include "prepare_packed.h"

#include <span>

namespace lathe::runtime {

/// What a layer that quantizes its input adds to a packed one.
struct DynamicLanes {
  std::int32_t lanes = 0;
  const std::int32_t* weight_sum = nullptr;
  const LaneFactors* factors = nullptr;
};

/// `channel`: the output channel of each lane, -1 where there is none; a multiple of 16.
DynamicLanes make_dynamic_lanes(const Site& site, std::span<const std::int32_t> channel, Store& store);

/// Wraps a layer packed for one image. `zero_point_taken`: the kernel subtracts it from the codes itself.
/// `blocks`: of a convolution; `scratch_bytes`: the layer's own.
template <typename Layer>
Prepared keep_dynamic(const Site& site, const Layer& layer, std::span<const std::int32_t> channel,
                      bool zero_point_taken, std::int64_t blocks, std::int64_t scratch_bytes, Store& store) {
  const std::int64_t batch = site.input_shape(0)[0];
  const DynamicLanes lanes = make_dynamic_lanes(site, channel, store);
  PackedDynamic<Layer> p{.layer = layer,
                         .in_size = site.input_shape(0).size() / batch,
                         .out_size = site.output_shape().size() / batch,
                         .lanes = lanes.lanes,
                         .weight_sum = lanes.weight_sum,
                         .factors = lanes.factors};
  p.offset = site.blocking->step == 4 ? 128 : 0;
  p.with_zero_point = !zero_point_taken;
  // Vectors are read up to 64 bytes beyond the codes.
  p.start_at = round_up(p.in_size, 64) + 64;
  p.factors_at = p.start_at + p.lanes * 4;
  p.blocks_at = p.factors_at + p.lanes / kLanes * static_cast<std::int64_t>(sizeof(LaneFactors));
  p.inner_at = round_up(p.blocks_at + blocks * static_cast<std::int64_t>(sizeof(ConvBlock)), 64);
  return {.params = store.keep(p), .units = batch, .scratch_bytes = p.inner_at + scratch_bytes};
}

}  // namespace lathe::runtime
