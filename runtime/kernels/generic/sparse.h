#pragma once

#include "../fast.h"
#include "../sparse.h"
#include "conv_tiles.h"
#include "sparse_samples.h"
#include "unroll.h"

/// Convolutions and linear layers that leave out single weights of 0 (sparse.h), for a vector type V
/// (conv_tiles.h) with
///   kSparseVectors   of positions computed together
///   transpose        sixteen rows of sixteen numbers, lines and columns exchanged
///   gather           sixteen numbers by index (linear layers)
namespace lathe::runtime {
namespace {

/// Sixteen pixels from `x` on, sixteen channels each, into planes. Pixels from `count` on do not exist: the
/// last one stands for them.
template <class V>
__attribute__((always_inline)) inline void spread(const float* x, std::int64_t channels, std::int64_t count,
                                                  float* to, std::int64_t plane) {
  const float* pixel[kLanes];
  for (int i = 0; i < kLanes; ++i) pixel[i] = x + (i < count ? i : count - 1) * channels;
  V::transpose(pixel, to, plane);
}

/// Brings the rows that a strip reads, from row `top` of the image (which may be outside), into planes.
template <class V>
void stage_planes(const SparseConv& p, const float* image, float* planes, std::int64_t top,
                  std::int64_t rows) {
  const std::int64_t channels = p.in_c, after = p.row - p.pad_left - p.in_w;
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    const std::int64_t here = channels - c < kLanes ? channels - c : kLanes;
    float* const first = planes + c * p.plane;
    const auto clear = [&](std::int64_t at, std::int64_t count) {
      for (std::int64_t lane = 0; lane < here; ++lane) {
        float* to = first + lane * p.plane + at;
        for (std::int64_t i = 0; i < count; ++i) to[i] = 0;
      }
    };
    for (std::int64_t r = 0; r < rows; ++r) {
      // Sixteen are written at a time: what goes beyond the row is cleared or written afterwards.
      clear(r * p.row, p.pad_left);
      const std::int64_t h = top + r;
      if (h < 0 || h >= p.in_h) {
        clear(r * p.row, p.row);
        continue;
      }
      const float* row = image + h * p.in_w * channels + c;
      for (std::int64_t w = 0; w < p.in_w; w += kLanes)
        spread<V>(row + w * channels, channels, p.in_w - w, first + r * p.row + p.pad_left + w, p.plane);
      clear(r * p.row + p.pad_left + p.in_w, after);
    }
  }
}

/// One output channel's part of a sum over `tiles` times kVectors vectors of positions. With two sets of sums
/// every other weight goes to the second: as many chains of additions as the processor needs.
template <class V, int kVectors>
void sparse_sums(const SparseWeight* begin, const SparseWeight* end, const float* planes, const float* start,
                 float* sums, std::int64_t tiles) {
  constexpr int kSets = 2 * kVectors <= V::kSparseVectors ? 2 : 1;
  const std::int64_t tile = std::int64_t{kVectors} * kLanes;
  for (std::int64_t t = 0; t < tiles; ++t, planes += tile, sums += tile) {
    typename V::Sum sum[kSets][kVectors];
    unroll<kVectors>([&](auto v) {
      sum[0][v.value] = start != nullptr ? V::broadcast(start) : V::load_x(sums + v.value * kLanes);
      if constexpr (kSets == 2) sum[1][v.value] = V::zero();
    });
    const SparseWeight* weight = begin;
    for (; weight + kSets <= end; weight += kSets) {
      unroll<kSets>([&](auto s) {
        const auto factor = V::broadcast(&weight[s.value].weight);
        const float* x = planes + weight[s.value].offset;
        unroll<kVectors>(
            [&](auto v) { V::add(sum[s.value][v.value], factor, V::load_x(x + v.value * kLanes)); });
      });
    }
    if constexpr (kSets == 2) {
      if (weight < end) {
        const auto factor = V::broadcast(&weight->weight);
        const float* x = planes + weight->offset;
        unroll<kVectors>([&](auto v) { V::add(sum[0][v.value], factor, V::load_x(x + v.value * kLanes)); });
      }
      unroll<kVectors>([&](auto v) { sum[0][v.value] = V::plus(sum[0][v.value], sum[1][v.value]); });
    }
    unroll<kVectors>([&](auto v) { V::store(sums + v.value * kLanes, sum[0][v.value], V::mask(kLanes)); });
  }
}

using SparseSums = void (*)(const SparseWeight*, const SparseWeight*, const float*, const float*, float*,
                            std::int64_t);

template <class V, int kVectors>
SparseSums select_sparse_sums(int vectors) {
  if constexpr (kVectors == 0) {
    return nullptr;
  } else {
    return vectors == kVectors ? &sparse_sums<V, kVectors> : select_sparse_sums<V, kVectors - 1>(vectors);
  }
}

/// Sixteen output channels of all positions from planes to pixels, pooled if the layer is.
template <class V>
void finish_channels(const SparseConv& p, const float* sums, float* pixels, std::int64_t rows,
                     std::int64_t lanes, float* out) {
  const std::int64_t width = p.pool ? 2 * p.out_w : p.out_w, down = p.row;
  const std::int64_t used = p.pointwise ? rows : ((p.pool ? 2 * rows : rows) - 1) * down + width;
  for (std::int64_t at = 0; at < used; at += kLanes) {
    const float* line[kLanes];
    for (int i = 0; i < kLanes; ++i) line[i] = sums + i * p.positions + at;
    V::transpose(line, pixels + at * kLanes, kLanes);
  }
  const typename V::Finish finish(p.clamp, {}, nullptr);
  const typename V::Mask mask = V::mask(static_cast<std::int32_t>(lanes));
  const auto pixel = [&](std::int64_t at) { return V::load_x(pixels + at * kLanes); };
  if (p.pointwise) {
    for (std::int64_t i = 0; i < rows; ++i) finish.store(pixel(i), out + i * p.out_c, mask);
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t w = 0; w < p.out_w; ++w, out += p.out_c) {
      if (!p.pool) {
        finish.store(pixel(r * down + w), out, mask);
        continue;
      }
      const std::int64_t at = 2 * (r * down + w);
      finish.store(V::max(V::max(pixel(at), pixel(at + 1)), V::max(pixel(at + down), pixel(at + down + 1))),
                   out, mask);
    }
  }
}

/// Scratch: planes of all channels rounded up to 16 and 16 * vectors + 16 more elements, sums of all output
/// channels rounded up to 16, sixteen of the positions.
template <class V>
void sparse_conv2d(const Call& call, Range units) noexcept {
  const auto& p = *static_cast<const SparseConv*>(call.params);
  if (p.sample != nullptr) return sampled_conv2d<V>(p, call, units);
  const SparseSums run = select_sparse_sums<V, V::kSparseVectors>(p.vectors);
  const std::int64_t tile = std::int64_t{p.vectors} * kLanes;
  const auto rounded = [](std::int64_t channels) { return (channels + kLanes - 1) / kLanes * kLanes; };
  auto* const planes = static_cast<float*>(call.scratch);
  float* const beyond = planes + rounded(p.in_c) * p.plane;
  float* const sums = beyond + tile + kLanes;
  float* const pixels = sums + rounded(p.out_c) * p.positions;
  for (std::int64_t i = 0; i < tile + kLanes; ++i) beyond[i] = 0;
  for (std::int64_t unit = units.begin; unit < units.end;) {
    const std::int64_t n = unit / p.out_h, h = unit % p.out_h;
    const std::int64_t in_image = p.out_h - h, in_range = units.end - unit;
    const std::int64_t there = in_image < in_range ? in_image : in_range;
    const std::int64_t rows = there < p.strip ? there : p.strip;
    const auto* input = static_cast<const float*>(call.input);
    std::int64_t used = rows;
    if (p.pointwise) {
      for (std::int64_t c = 0; c < p.in_c; c += kLanes)
        for (std::int64_t i = 0; i < rows; i += kLanes)
          spread<V>(input + (h + i) * p.in_c + c, p.in_c, rows - i, planes + c * p.plane + i, p.plane);
    } else {
      const std::int64_t conv_rows = p.pool ? 2 * rows : rows, first = p.pool ? 2 * h : h;
      stage_planes<V>(p, input + n * p.in_h * p.in_w * p.in_c, planes, first - p.pad_top,
                      conv_rows + p.kernel_h - 1);
      used = (conv_rows - 1) * p.row + (p.pool ? 2 * p.out_w : p.out_w);
    }
    const std::int64_t tiles = (used + tile - 1) / tile;
    for (int part = 0; part < p.parts; ++part) {
      const std::int32_t* first = p.first + std::int64_t{part} * p.out_c;
      for (int o = 0; o < p.out_c; ++o) {
        if (part > 0 && first[o] == first[o + 1]) continue;
        run(p.weight + first[o], p.weight + first[o + 1], planes, part == 0 ? p.bias + o : nullptr,
            sums + std::int64_t{o} * p.positions, tiles);
      }
    }
    float* out = static_cast<float*>(call.output) + unit * (p.pointwise ? 1 : p.out_w) * p.out_c;
    for (std::int64_t o = 0; o < p.out_c; o += kLanes)
      finish_channels<V>(p, sums + o * p.positions, pixels, rows, p.out_c - o < kLanes ? p.out_c - o : kLanes,
                         out + o);
    unit += rows;
  }
}

/// Scratch: the sums, padded to a multiple of 16.
template <class V>
void sparse_linear(const Call& call, Range samples) noexcept {
  const auto& p = *static_cast<const SparseLinear*>(call.params);
  auto* totals = static_cast<float*>(call.scratch);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const float* x = static_cast<const float*>(call.input) + n * p.inputs;
    for (std::int32_t o = 0; o < p.outputs; ++o) {
      typename V::Sum sum = V::zero(), other = V::zero();
      std::int64_t group = p.first[o];
      const auto add = [&](typename V::Sum& to) {
        V::add(to, V::load_x(p.weight + group * kLanes), V::gather(x, p.index + group * kLanes));
        ++group;
      };
      for (; group + 2 <= p.first[o + 1];) {
        add(sum);
        add(other);
      }
      if (group < p.first[o + 1]) add(sum);
      totals[o] = V::sum_of_lanes(V::plus(sum, other));
    }
    float* out = static_cast<float*>(call.output) + n * p.outputs;
    const typename V::Finish finish(p.clamp, {}, nullptr);
    for (std::int32_t o = 0; o < p.outputs; o += kLanes)
      finish.store(V::plus(V::load_x(totals + o), V::load_x(p.bias + o)), out + o,
                   V::mask(p.outputs - o < kLanes ? p.outputs - o : kLanes));
  }
}

template <class F32, class I8, class I16>
constexpr SparseKernels make_sparse() {
  return {.conv2d = sparse_conv2d<F32>,
          .linear = sparse_linear<F32>,
          .block_conv2d_f32 = conv2d<Kept<F32>>,
          .block_conv2d_i8 = conv2d<Kept<I8>>,
          .block_conv2d_i16 = conv2d<Kept<I16>>};
}

}  // namespace
}  // namespace lathe::runtime
