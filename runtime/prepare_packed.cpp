#include "prepare_packed.h"

#include "prepare.h"

#include <algorithm>

namespace lathe::runtime {

namespace {

/// Does a 2x2 pool with stride 2 and no padding follow?
bool poolable(const Site& site, const ConvSite& conv) {
  const graph::MaxPool2d& pool = *site.pool;
  if (pool.kernel_h != 2 || pool.kernel_w != 2 || pool.stride_h != 2 || pool.stride_w != 2) return false;
  const auto unpadded = [&](std::int64_t extent) {
    const graph::Window window = graph::slide("max_pool2d", extent, 2, 2, pool.padding);
    return window.before == 0 && window.after == 0;
  };
  return unpadded(conv.window.out_h) && unpadded(conv.window.out_w);
}

/// Everything of PackedConv that does not depend on the dtype. `step`: neighbouring elements that one
/// instruction sums.
PackedConv pack_geometry(const Site& site, const ConvSite& conv, std::int32_t step, Store& store) {
  Window2d w = conv.window;
  const bool padded = w.pad_top > 0 || w.pad_left > 0 || (w.out_h - 1) * w.stride_h + w.kernel_h > w.in_h ||
                      (w.out_w - 1) * w.stride_w + w.kernel_w > w.in_w;
  const bool pool = site.pool != nullptr;
  if (!padded && !pool && w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1) {
    // Each pixel alone: all pixels of all images are one row.
    w.in_w = w.out_w = narrow(std::int64_t{w.batch} * w.in_h * w.in_w);
    w.in_h = w.out_h = w.batch = 1;
  }
  PackedConv p{.batch = w.batch, .out_h = w.out_h, .out_w = w.out_w, .out_c = w.out_c, .pool = pool};
  if (pool) {
    p.out_h /= 2;
    p.out_w /= 2;
  }
  const std::int32_t columns = std::max((w.out_w - 1) * w.stride_w + w.kernel_w, w.pad_left + w.in_w);
  p.staging = {.needed = padded,
               .in_h = w.in_h,
               .row = w.in_w * w.in_c,
               .top = w.pad_top,
               .left = w.pad_left * w.in_c,
               .h = (w.out_h - 1) * w.stride_h + w.kernel_h,
               .staged_row = (padded ? columns : w.in_w) * w.in_c};
  p.image_step = std::int64_t{w.in_h} * p.staging.row;
  p.row_step = w.stride_h * p.staging.staged_row;
  p.pixel_step = w.stride_w * w.in_c;
  p.rows_down = w.stride_h * (pool ? 2 : 1);
  p.window_rows = w.kernel_h + (pool ? w.stride_h : 0);

  // A row of the window is contiguous, unless only the channels of a group are read.
  const std::int32_t pieces = conv.groups == 1 ? 1 : w.kernel_w;
  const std::int32_t run = w.kernel_w * w.in_c / conv.groups / pieces;
  p.runs = w.kernel_h * pieces;
  p.steps = (run + step - 1) / step;
  const auto offsets = store.array<std::int32_t>(static_cast<std::size_t>(p.runs));
  for (std::int32_t r = 0; r < p.runs; ++r)
    offsets[static_cast<std::size_t>(r)] = r / pieces * p.staging.staged_row + r % pieces * w.in_c;
  p.run_offset = offsets.data();

  const bool single = w.in_c == 1 && w.kernel_h == 3 && w.kernel_w == 3 && w.stride_h == w.stride_w;
  p.patch_stride = single ? w.stride_w : 0;

  // Tiles of equal width, as few as the registers allow.
  const std::int32_t most = pool ? site.blocking->pool_tile : site.blocking->tile;
  const std::int32_t tiles = (p.out_w + most - 1) / most;
  p.tile = (p.out_w + tiles - 1) / tiles;
  return p;
}

/// Calls fill(block, first channel, lanes) for each sixteen output channels of each group; the blocks have
/// their offsets.
template <typename Fill>
void make_blocks(PackedConv& p, const ConvSite& conv, Store& store, Fill&& fill) {
  const std::int32_t group_out = conv.window.out_c / conv.groups, group_in = conv.window.in_c / conv.groups;
  const std::int32_t per_group = (group_out + kLanes - 1) / kLanes;
  p.blocks = per_group * conv.groups;
  const auto blocks = store.array<ConvBlock>(static_cast<std::size_t>(p.blocks));
  for (std::int32_t b = 0; b < p.blocks; ++b) {
    ConvBlock& block = blocks[static_cast<std::size_t>(b)];
    const std::int32_t group = b / per_group, first = b % per_group * kLanes;
    block.in_offset = group * group_in;
    block.out_offset = group * group_out + first;
    block.lanes = std::min(group_out - first, kLanes);
    fill(block);
  }
  p.block = blocks.data();
}

/// Weights of a block's channels [runs][steps][16][step]; what does not exist is 0.
template <typename To, typename From>
const To* pack_block(const PackedConv& p, const ConvBlock& block, std::span<const From> weight,
                     std::int32_t step, Store& store) {
  const auto taps = static_cast<std::int64_t>(weight.size()) / p.out_c;
  const std::int64_t run_length = taps / p.runs;
  const auto packed =
      store.array<To>(static_cast<std::size_t>(std::int64_t{p.runs} * p.steps * kLanes * step));
  auto to = packed.begin();
  for (std::int64_t run = 0; run < p.runs; ++run) {
    for (std::int64_t k = 0; k < p.steps; ++k) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        for (std::int64_t s = 0; s < step; ++s, ++to) {
          const std::int64_t i = k * step + s;
          if (lane >= block.lanes || i >= run_length) continue;
          *to = weight[static_cast<std::size_t>((block.out_offset + lane) * taps + run * run_length + i)];
        }
      }
    }
  }
  return packed.data();
}

std::int64_t units(const PackedConv& p) { return std::int64_t{p.batch} * p.out_h; }

}  // namespace

bool prepare_packed_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  PackedConv p = pack_geometry(site, conv, 1, store);
  p.clamp = clamp_of(conv.activation);
  const auto weight = constant<float>(site, 1);
  const auto bias = site.size() > 2 ? constant<float>(site, 2) : std::span<const float>();
  make_blocks(p, conv, store, [&](ConvBlock& block) {
    block.weight = pack_block<float>(p, block, weight, 1, store);
    const auto lanes = store.array<float>(kLanes);
    for (std::int32_t i = 0; i < block.lanes && !bias.empty(); ++i)
      lanes[static_cast<std::size_t>(i)] = bias[static_cast<std::size_t>(block.out_offset + i)];
    block.bias = lanes.data();
  });
  const std::int64_t scratch = p.staging.needed ? std::int64_t{p.staging.h} * p.staging.staged_row : 0;
  prepared = {.params = store.keep(p), .units = units(p), .scratch_bytes = scratch * 4};
  return true;
}

bool prepare_packed_conv_i8(const Site& site, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  const std::int32_t step = site.blocking->step;
  PackedConv p = pack_geometry(site, conv, step, store);
  p.staging.zero_point = zero_point_of(site.input(0));
  const auto weight = constant<std::int8_t>(site, 1);
  const auto bias = site.size() > 2 ? constant<std::int32_t>(site, 2) : std::span<const std::int32_t>();
  const ChannelSums sums = channel_sums(weight, bias, p.out_c);
  const Rescale rescale = rescale_of(site, conv.activation, store);
  p.limits = code_limits(rescale);
  // Bytes are multiplied as code + 128, 16-bit numbers as code - zero point.
  const std::int32_t offset = step == 4 ? 128 + p.staging.zero_point : 0;
  bool exact = true;
  make_blocks(p, conv, store, [&](ConvBlock& block) {
    block.weight = step == 4
                       ? static_cast<const void*>(pack_block<std::int8_t>(p, block, weight, step, store))
                       : pack_block<std::int16_t>(p, block, weight, step, store);
    const auto lanes = store.array<std::int32_t>(kLanes);
    for (std::int32_t i = 0; i < block.lanes; ++i) {
      const auto channel = static_cast<std::size_t>(block.out_offset + i);
      lanes[static_cast<std::size_t>(i)] =
          corrected_bias(bias.empty() ? 0 : bias[channel], offset, sums.weight[channel]);
    }
    block.bias = lanes.data();
    Rescale own = rescale;
    own.multiplier += block.out_offset;
    own.exponent += block.out_offset;
    const auto bound =
        std::span(sums.bound)
            .subspan(static_cast<std::size_t>(block.out_offset), static_cast<std::size_t>(block.lanes));
    block.rescale = make_lane_rescale(own, bound, kLanes, store);
    exact = exact && block.rescale != nullptr;
  });
  if (!exact) return false;
  const std::int64_t element = step == 4 ? 1 : 2;
  const std::int64_t scratch = std::max(std::int64_t{p.staging.h} * p.staging.staged_row,
                                        std::int64_t{p.staging.in_h} * p.staging.row);
  prepared = {.params = store.keep(p), .units = units(p), .scratch_bytes = scratch * element};
  return true;
}

namespace {

/// Weights of a linear layer by groups of outputs: [ceil(I/vector)][outputs of the group][vector].
template <typename To, typename From>
const To* pack_linear(const PackedLinear& p, std::span<const From> weight, std::int32_t vector,
                      Store& store) {
  const std::int64_t steps = (p.inputs + vector - 1) / vector;
  const auto packed = store.array<To>(static_cast<std::size_t>(steps * vector * p.outputs));
  auto to = packed.begin();
  for (std::int64_t first = 0; first < p.outputs; first += p.group) {
    const std::int64_t last = std::min<std::int64_t>(first + p.group, p.outputs);
    for (std::int64_t step = 0; step < steps; ++step) {
      for (std::int64_t o = first; o < last; ++o) {
        for (std::int64_t i = step * vector; i < (step + 1) * vector; ++i, ++to)
          if (i < p.inputs) *to = weight[static_cast<std::size_t>(o * p.inputs + i)];
      }
    }
  }
  return packed.data();
}

PackedLinear linear_geometry(const Site& site, std::int32_t most) {
  const Shape& weight = site.input(1).shape;
  PackedLinear p{.inputs = narrow(weight[1]), .outputs = narrow(weight[0])};
  const std::int32_t groups = (p.outputs + most - 1) / most;
  p.group = (p.outputs + groups - 1) / groups;
  return p;
}

}  // namespace

bool prepare_packed_linear_f32(const Site& site, Store& store, Prepared& prepared) {
  PackedLinear p = linear_geometry(site, site.blocking->outputs_f32);
  p.clamp = clamp_of(std::get<graph::Linear>(site.op).activation);
  p.weight = pack_linear<float>(p, constant<float>(site, 1), site.blocking->dot_f32, store);
  const auto padded = static_cast<std::size_t>(round_up(p.outputs, kLanes));
  const auto bias = store.array<float>(padded);
  if (site.size() > 2) std::ranges::copy(constant<float>(site, 2), bias.begin());
  p.bias = bias.data();
  prepared = {.params = store.keep(p),
              .units = site.output_shape()[0],
              .scratch_bytes = static_cast<std::int64_t>(padded) * 4};
  return true;
}

bool prepare_packed_linear_i8(const Site& site, Store& store, Prepared& prepared) {
  PackedLinear p = linear_geometry(site, site.blocking->outputs_i8);
  const auto weight = constant<std::int8_t>(site, 1);
  const auto bias = site.size() > 2 ? constant<std::int32_t>(site, 2) : std::span<const std::int32_t>();
  const bool quads = site.blocking->step == 4;
  p.weight = quads
                 ? static_cast<const void*>(pack_linear<std::int8_t>(p, weight, site.blocking->dot_i8, store))
                 : pack_linear<std::int16_t>(p, weight, site.blocking->dot_i8, store);
  const ChannelSums sums = channel_sums(weight, bias, p.outputs);
  const auto padded = static_cast<std::size_t>(round_up(p.outputs, kLanes));
  const auto corrected = store.array<std::int32_t>(padded);
  // Bytes are multiplied as code + 128, 16-bit numbers as the code.
  const std::int32_t offset = zero_point_of(site.input(0)) + (quads ? 128 : 0);
  for (std::size_t o = 0; o < sums.weight.size(); ++o)
    corrected[o] = corrected_bias(bias.empty() ? 0 : bias[o], offset, sums.weight[o]);
  p.bias = corrected.data();
  const Rescale rescale = rescale_of(site, std::get<graph::Linear>(site.op).activation, store);
  p.limits = code_limits(rescale);
  p.rescale = make_lane_rescale(rescale, sums.bound, padded, store);
  if (p.rescale == nullptr) return false;
  prepared = {.params = store.keep(p),
              .units = site.output_shape()[0],
              .scratch_bytes = static_cast<std::int64_t>(padded) * 4};
  return true;
}

}  // namespace lathe::runtime
