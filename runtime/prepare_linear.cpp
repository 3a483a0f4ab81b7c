#include "dynamic_layer.h"
#include "integer_layer.h"
#include "kernels/palette.h"
#include "prepare.h"
#include "prepare_packed.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace lathe::runtime {

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

/// A layer of floats without its weights.
PackedLinear linear_f32(const Site& site, Store& store) {
  PackedLinear p = linear_geometry(site, site.blocking->outputs_f32);
  p.clamp = clamp_of(std::get<graph::Linear>(site.op).activation);
  const auto bias = store.array<float>(static_cast<std::size_t>(round_up(p.outputs, kLanes)));
  if (site.size() > 2) std::ranges::copy(constant<float>(site, 2), bias.begin());
  p.bias = bias.data();
  return p;
}

Prepared prepared_linear(const Site& site, const PackedLinear& p, const void* params) {
  return {
      .params = params, .units = site.output_shape()[0], .scratch_bytes = round_up(p.outputs, kLanes) * 4};
}

template <typename Weight>
bool prepare_linear_of(std::span<const Weight> weight, const Site& site, Store& store, Prepared& prepared) {
  PackedLinear p = linear_f32(site, store);
  p.weight = pack_linear<Weight>(p, weight, site.blocking->dot_f32, store);
  prepared = prepared_linear(site, p, store.keep(p));
  return true;
}

/// The different weights in rising order; empty where they are more than sixteen, or not all finite.
std::vector<float> colors_of(std::span<const float> weight) {
  std::vector<float> colors;
  for (const float w : weight) {
    const auto at = std::ranges::lower_bound(colors, w);
    if (at != colors.end() && *at == w) continue;
    if (!std::isfinite(w) || colors.size() == kPaletteColors) return {};
    colors.insert(at, w);
  }
  return colors;
}

/// Indices of the weights as PaletteLinear has them; those that do not exist are `padding`.
const std::uint32_t* pack_indices(const PackedLinear& p, std::span<const std::uint8_t> index,
                                  std::int32_t vector, std::uint32_t padding, Store& store) {
  const std::int64_t together = std::int64_t{vector} * kPaletteSteps,
                     blocks = (p.inputs + together - 1) / together;
  const auto packed = store.array<std::uint32_t>(static_cast<std::size_t>(blocks * vector * p.outputs));
  auto to = packed.begin();
  for (std::int64_t first = 0; first < p.outputs; first += p.group) {
    const std::int64_t last = std::min<std::int64_t>(first + p.group, p.outputs);
    for (std::int64_t block = 0; block < blocks; ++block) {
      for (std::int64_t o = first; o < last; ++o) {
        for (std::int64_t lane = 0; lane < vector; ++lane, ++to) {
          for (int s = 0; s < kPaletteSteps; ++s) {
            const std::int64_t i = block * together + s * vector + lane;
            *to |= (i < p.inputs ? index[static_cast<std::size_t>(o * p.inputs + i)] : padding) << (4 * s);
          }
        }
      }
    }
  }
  return packed.data();
}

}  // namespace

bool prepare_packed_linear_f32(const Site& site, Store& store, Prepared& prepared) {
  return prepare_linear_of(constant<float>(site, 1), site, store, prepared);
}
bool prepare_palette_linear_f32(const Site& site, Store& store, Prepared& prepared) {
  // Weights that the second-level cache holds are fetched faster than they are looked up: 1 MiB, of halves
  // twice as many.
  constexpr std::size_t kFewestFloats = 256 * 1024, kFewestHalves = 2 * kFewestFloats;
  const auto weight = constant<float>(site, 1);
  if (weight.size() < kFewestFloats) return false;
  if (weight.size() < kFewestHalves && !halves_of(weight).empty()) return false;
  const std::vector<float> colors = colors_of(weight);
  if (colors.empty()) return false;
  std::vector<std::uint8_t> index;
  for (const float w : weight)
    index.push_back(static_cast<std::uint8_t>(std::ranges::lower_bound(colors, w) - colors.begin()));
  PaletteLinear palette{.layer = linear_f32(site, store), .colors = {}};
  std::ranges::copy(colors, palette.colors);
  // Times the 0 beyond the inputs, a weight that is not negative gives the 0 of the dense kernel.
  const auto padding = std::ranges::find_if(colors, [](float w) { return w >= 0; }) - colors.begin();
  palette.layer.weight =
      pack_indices(palette.layer, index, site.blocking->dot_f32,
                   static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(padding, 15)), store);
  prepared = prepared_linear(site, palette.layer, store.keep(palette));
  return true;
}
bool prepare_half_linear_f32(const Site& site, Store& store, Prepared& prepared) {
  const std::vector<std::uint16_t> weight = halves_of(constant<float>(site, 1));
  return !weight.empty() && prepare_linear_of(std::span(weight), site, store, prepared);
}

namespace {

/// `wide`: 16-bit codes.
PackedLinear pack_linear_codes(const Site& site, bool wide, Store& store) {
  const Blocking& blocking = *site.blocking;
  const auto weight = constant<std::int8_t>(site, 1);
  PackedLinear p = linear_geometry(site, wide ? blocking.outputs_i16 : blocking.outputs_i8);
  p.weight = pack_linear<std::int8_t>(p, weight, wide ? blocking.dot_i16 : blocking.dot_i8, store);
  return p;
}

bool prepare_linear_codes(const Site& site, Sums sums, Store& store, Prepared& prepared) {
  const bool wide = sums == Sums::i16_wide;
  PackedLinear p = pack_linear_codes(site, wide, store);
  // Bytes are multiplied as code + 128, 16-bit numbers as the code.
  const std::int32_t offset = zero_point_of(site.input(0)) + (!wide && site.blocking->step == 4 ? 128 : 0);
  const IntegerLayer layer(site, std::get<graph::Linear>(site.op).activation, sums, offset, store);
  const LaneChannels lanes{.channels = p.outputs, .lanes = round_up(p.outputs, kLanes)};
  p.bias = layer.bias(lanes, store);
  p.limits = layer.limits();
  p.rescale = layer.rescale(lanes, store);
  if (p.rescale == nullptr) return false;
  prepared = {.params = store.keep(p),
              .units = site.output_shape()[0],
              .scratch_bytes = lanes.lanes * (wide ? 8 : 4)};
  return true;
}

}  // namespace

bool prepare_packed_linear_i8(const Site& site, Store& store, Prepared& prepared) {
  return prepare_linear_codes(site, Sums::i8, store, prepared);
}
bool prepare_packed_linear_i16(const Site& site, Store& store, Prepared& prepared) {
  return prepare_linear_codes(site, Sums::i16_wide, store, prepared);
}

bool prepare_packed_linear_dynamic(const Site& site, Store& store, Prepared& prepared) {
  PackedLinear p = pack_linear_codes(site, false, store);
  p.clamp = clamp_of(std::get<graph::Linear>(site.op).activation);
  std::vector<std::int32_t> channel(static_cast<std::size_t>(round_up(p.outputs, kLanes)), -1);
  std::iota(channel.begin(), channel.begin() + p.outputs, 0);
  const auto scratch = static_cast<std::int64_t>(channel.size()) * 4;
  prepared = keep_dynamic(site, p, channel, false, 0, scratch, store);
  return true;
}

}  // namespace lathe::runtime
