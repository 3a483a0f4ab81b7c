#include "prepare_packed.h"

#include "dynamic_layer.h"
#include "integer_layer.h"
#include "prepare.h"

#include <lathe/base/half.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

namespace lathe::runtime {

bool poolable(const Site& site, const ConvSite& conv) {
  const graph::MaxPool2d& pool = *site.pool;
  if (pool.kernel_h != 2 || pool.kernel_w != 2 || pool.stride_h != 2 || pool.stride_w != 2) return false;
  const auto unpadded = [&](std::int64_t extent) {
    const graph::Window window = graph::slide("max_pool2d", extent, 2, 2, pool.padding);
    return window.before == 0 && window.after == 0;
  };
  return unpadded(conv.window.out_h) && unpadded(conv.window.out_w);
}

namespace {

constexpr std::int32_t kAnyRun = std::numeric_limits<std::int32_t>::max();
/// Products of 16-bit codes and weights that 32 bits hold: none is larger than 2^22.
constexpr std::int32_t kWideRun = 510;

/// Cuts `steps` into equal parts of at most `longest`, as long as it goes without reading more than 32 bytes
/// (8 steps of 16-bit numbers) after the end.
std::int32_t cut_steps(std::int32_t steps, std::int32_t longest) {
  if (steps <= longest) return steps;
  const auto beyond = [&](std::int32_t part) { return (part - steps % part) % part; };
  while (beyond(longest) > 8) --longest;
  return longest;
}

/// Everything of PackedConv that does not depend on the dtype. `step`: neighbouring elements that one
/// instruction sums; `longest`: elements that a run may have.
PackedConv pack_geometry(const Site& site, const ConvSite& conv, std::int32_t step, std::int32_t longest,
                         Store& store) {
  Window2d w = conv.window;
  const bool padded = w.pad_top > 0 || w.pad_left > 0 || (w.out_h - 1) * w.stride_h + w.kernel_h > w.in_h ||
                      (w.out_w - 1) * w.stride_w + w.kernel_w > w.in_w;
  const bool pool = site.pool != nullptr;
  const bool pixels =
      !padded && !pool && w.kernel_h == 1 && w.kernel_w == 1 && w.stride_h == 1 && w.stride_w == 1;
  if (pixels) {
    w.in_w = w.out_w = narrow(std::int64_t{w.batch} * w.in_h * w.in_w);
    w.in_h = w.out_h = w.batch = 1;
  }
  PackedConv p{
      .batch = w.batch, .out_h = w.out_h, .out_w = w.out_w, .out_c = w.out_c, .pixels = pixels, .pool = pool};
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
  const std::int32_t all_steps = (run + step - 1) / step;
  p.steps = cut_steps(all_steps, longest / step);
  p.cuts = (all_steps - 1) / p.steps + 1;
  p.runs = w.kernel_h * pieces * p.cuts;
  const auto offsets = store.array<std::int32_t>(static_cast<std::size_t>(p.runs));
  for (std::int32_t r = 0; r < p.runs; ++r) {
    const std::int32_t piece = r / p.cuts;
    offsets[static_cast<std::size_t>(r)] =
        piece / pieces * p.staging.staged_row + piece % pieces * w.in_c + r % p.cuts * p.steps * step;
  }
  p.run_offset = offsets.data();

  const bool single = w.in_c == 1 && w.kernel_h == 3 && w.kernel_w == 3 && w.stride_h == w.stride_w;
  p.patch_stride = single ? w.stride_w : 0;

  // Tiles of equal width, as few as the registers allow.
  const std::int32_t most = pool ? site.blocking->pool_tile : site.blocking->tile;
  const std::int32_t tiles = (p.out_w + most - 1) / most;
  p.tile = (p.out_w + tiles - 1) / tiles;
  p.units = pixels ? p.out_w : std::int64_t{p.batch} * p.out_h;
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
  const std::int64_t pieces = p.runs / p.cuts, piece_length = taps / pieces;
  const auto packed =
      store.array<To>(static_cast<std::size_t>(std::int64_t{p.runs} * p.steps * kLanes * step));
  auto to = packed.begin();
  for (std::int64_t run = 0; run < p.runs; ++run) {
    const std::int64_t first = run % p.cuts * p.steps;
    for (std::int64_t k = first; k < first + p.steps; ++k) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        for (std::int64_t s = 0; s < step; ++s, ++to) {
          const std::int64_t i = k * step + s;
          if (lane >= block.lanes || i >= piece_length) continue;
          *to = weight[static_cast<std::size_t>((block.out_offset + lane) * taps +
                                                run / p.cuts * piece_length + i)];
        }
      }
    }
  }
  return packed.data();
}

enum class Zeros : std::uint8_t { multiplied, left_out };

/// Packs the weights of a block; of those that are left out a whole step of sixteen channels at a time.
template <typename To, typename From>
void pack_weights(const PackedConv& p, ConvBlock& block, std::span<const From> weight, std::int32_t step,
                  Zeros zeros, Store& store) {
  if (zeros == Zeros::multiplied) {
    block.weight = pack_block<To>(p, block, weight, step, store);
    return;
  }
  Store whole;
  const To* from = pack_block<To>(p, block, weight, step, whole);
  const std::int64_t size = std::int64_t{kLanes} * step;
  std::vector<std::int32_t> offsets;
  std::vector<To> kept;
  for (std::int32_t run = 0; run < p.runs; ++run) {
    for (std::int32_t k = 0; k < p.steps; ++k, from += size) {
      if (std::all_of(from, from + size, [](To value) { return value == 0; })) continue;
      offsets.push_back(p.run_offset[run] + k * step);
      kept.insert(kept.end(), from, from + size);
    }
  }
  block.kept = narrow(static_cast<std::int64_t>(offsets.size()));
  block.kept_offset = store.copy(std::span<const std::int32_t>(offsets));
  block.weight = store.copy(std::span<const To>(kept));
}

/// Are so many blocks of weights 0, sixteen outputs and `step` neighbouring inputs large, that the kernel
/// without them is faster? It loads a weight for half as many outputs as the dense one.
template <typename From>
bool wants_blocks(const Site& site, const ConvSite& conv, std::span<const From> weight, std::int32_t step) {
  constexpr double kMostKept = 0.6;
  if (site.sparsity == Sparsity::never) return false;
  const auto zeros = static_cast<double>(std::ranges::count(weight, From{0}));
  if (zeros < (1 - kMostKept) * static_cast<double>(weight.size())) return false;
  Store draft;
  PackedConv p = pack_geometry(site, conv, step, kAnyRun, draft);
  if (p.patch_stride > 0) return false;  // dense windows of one channel have a kernel of their own
  std::int64_t kept = 0;
  make_blocks(p, conv, draft, [&](ConvBlock& block) {
    pack_weights<From>(p, block, weight, step, Zeros::left_out, draft);
    kept += block.kept;
  });
  return static_cast<double>(kept) <=
         kMostKept * static_cast<double>(std::int64_t{p.blocks} * p.runs * p.steps);
}

/// Weights are packed as Weight: float, or the bits of a half.
template <typename Weight>
bool prepare_conv_of(std::span<const Weight> weight, Zeros zeros, const Site& site, Store& store,
                     Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  PackedConv p = pack_geometry(site, conv, 1, kAnyRun, store);
  p.clamp = clamp_of(conv.activation);
  const auto bias = site.size() > 2 ? constant<float>(site, 2) : std::span<const float>();
  make_blocks(p, conv, store, [&](ConvBlock& block) {
    pack_weights<Weight>(p, block, weight, 1, zeros, store);
    const auto lanes = store.array<float>(kLanes);
    for (std::int32_t i = 0; i < block.lanes && !bias.empty(); ++i)
      lanes[static_cast<std::size_t>(i)] = bias[static_cast<std::size_t>(block.out_offset + i)];
    block.bias = lanes.data();
  });
  const std::int64_t scratch = p.staging.needed ? std::int64_t{p.staging.h} * p.staging.staged_row : 0;
  prepared = {.params = store.keep(p), .units = p.units, .scratch_bytes = scratch * 4};
  return true;
}

}  // namespace

bool prepare_packed_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_of(constant<float>(site, 1), Zeros::multiplied, site, store, prepared);
}
bool prepare_block_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  const auto weight = constant<float>(site, 1);
  return wants_blocks(site, conv_site(site), weight, 1) &&
         prepare_conv_of(weight, Zeros::left_out, site, store, prepared);
}
bool prepare_half_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  // Each weight is widened once for a tile of pixels: with 196 pixels that takes a tenth of the time, with 49
  // it gives as much.
  constexpr std::int64_t kMostPixels = 64;
  const Shape& out = site.output_shape();
  if (out.size() / out[3] > kMostPixels) return false;
  const std::vector<std::uint16_t> weight = halves_of(constant<float>(site, 1));
  return !weight.empty() && prepare_conv_of(std::span(weight), Zeros::multiplied, site, store, prepared);
}

namespace {

/// Scratch bytes of a convolution of i8 or i16.
std::int64_t staged_bytes(const PackedConv& p, std::int32_t step) {
  const std::int64_t elements = std::max(std::int64_t{p.staging.h} * p.staging.staged_row,
                                         std::int64_t{p.staging.in_h} * p.staging.row);
  return elements * (step == 4 ? 1 : 2);
}

void pack_codes(const PackedConv& p, ConvBlock& block, std::span<const std::int8_t> weight, std::int32_t step,
                Zeros zeros, Store& store) {
  if (step == 4) {
    pack_weights<std::int8_t>(p, block, weight, step, zeros, store);
  } else {
    pack_weights<std::int16_t>(p, block, weight, step, zeros, store);
  }
}

bool prepare_conv_codes(const Site& site, Sums sums, Zeros zeros, Store& store, Prepared& prepared) {
  const ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  const std::int32_t step = sums == Sums::i8 ? site.blocking->step : 2;
  if (zeros == Zeros::left_out && !wants_blocks(site, conv, constant<std::int8_t>(site, 1), step))
    return false;
  const std::int32_t zero_point = zero_point_of(site.input(0));
  // Bytes are multiplied as code + 128, 16-bit numbers as code - zero point.
  const IntegerLayer layer(site, conv.activation, sums, step == 4 ? 128 + zero_point : 0, store);
  if (!layer.fits()) return false;
  PackedConv p = pack_geometry(site, conv, step, sums == Sums::i16_wide ? kWideRun : kAnyRun, store);
  p.staging.zero_point = zero_point;
  p.limits = layer.limits();
  bool exact = true;
  make_blocks(p, conv, store, [&](ConvBlock& block) {
    pack_codes(p, block, layer.weight(), step, zeros, store);
    const LaneChannels lanes{.first = block.out_offset, .channels = block.lanes};
    block.bias = layer.bias(lanes, store);
    block.rescale = layer.rescale(lanes, store);
    exact = exact && block.rescale != nullptr;
  });
  if (!exact) return false;
  const bool staged = sums == Sums::i8 || p.staging.needed;
  prepared = {.params = store.keep(p), .units = p.units, .scratch_bytes = staged ? staged_bytes(p, step) : 0};
  return true;
}

}  // namespace

bool prepare_packed_conv_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_codes(site, Sums::i8, Zeros::multiplied, store, prepared);
}
bool prepare_block_conv_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_codes(site, Sums::i8, Zeros::left_out, store, prepared);
}
bool prepare_packed_conv_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_codes(site, Sums::i16, Zeros::multiplied, store, prepared);
}
bool prepare_block_conv_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_codes(site, Sums::i16, Zeros::left_out, store, prepared);
}
bool prepare_packed_conv_i16_wide(const Site& site, Store& store, Prepared& prepared) {
  return prepare_conv_codes(site, Sums::i16_wide, Zeros::multiplied, store, prepared);
}

bool prepare_packed_conv_dynamic(const Site& site, Store& store, Prepared& prepared) {
  ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  conv.window.batch = 1;
  const std::int32_t step = site.blocking->step;
  PackedConv p = pack_geometry(site, conv, step, kAnyRun, store);
  p.clamp = clamp_of(conv.activation);
  const auto weight = constant<std::int8_t>(site, 1);
  std::vector<std::int32_t> channel;
  make_blocks(p, conv, store, [&](ConvBlock& block) {
    pack_codes(p, block, weight, step, Zeros::multiplied, store);
    for (std::int32_t i = 0; i < kLanes; ++i) channel.push_back(i < block.lanes ? block.out_offset + i : -1);
  });
  prepared = keep_dynamic(site, p, channel, step == 2, p.blocks, staged_bytes(p, step), store);
  return true;
}

std::vector<std::uint16_t> halves_of(std::span<const float> weight) {
  constexpr std::size_t kFewestHalves = 4096;  // fewer stay in the first caches, where halves win nothing
  std::vector<std::uint16_t> halves;
  if (weight.size() < kFewestHalves) return halves;
  halves.reserve(weight.size());
  for (const float value : weight) {
    const std::uint16_t half = float_to_half(value);
    if (std::bit_cast<std::uint32_t>(half_to_float(half)) != std::bit_cast<std::uint32_t>(value)) return {};
    halves.push_back(half);
  }
  return halves;
}

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace lathe::runtime
