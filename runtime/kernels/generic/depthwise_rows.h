#pragma once

#include "conv_tiles.h"

/// Depthwise convolution on packed weights, for a vector type V (conv_tiles.h) with load_x, and for integers
/// interleave().
namespace lathe::runtime {
namespace {

/// Segments of an output row. x(tap row or group, column offset) gives sixteen lanes of input.
template <class V, typename Load>
void depthwise_segments(const PackedDepthwise& p, int groups, typename V::Out* out, Load&& x) {
  using WeightElement = typename V::WeightElement;
  const auto* weights = static_cast<const WeightElement*>(p.weight);
  const auto* bias = static_cast<const typename V::SumElement*>(p.bias);
  for (int s = 0; s < p.segments; ++s) {
    int phase = 0;
    for (int lane = 0; lane < p.segment; lane += kLanes) {
      typename V::Sum sum = V::start(bias + phase);
      const std::int64_t at = std::int64_t{s} * p.segment_step + lane;
      const WeightElement* weight = weights + std::int64_t{phase} * V::kStep;
      for (int kw = 0; kw < p.kernel_w; ++kw) {
        for (int g = 0; g < groups; ++g) {
          V::add(sum, V::load(weight), x(g, at + std::int64_t{kw} * p.channels));
          weight += std::int64_t{p.period} * V::kStep;
        }
      }
      const typename V::Finish finish(p.clamp, p.limits, p.rescale + phase / kLanes);
      const int lanes = p.segment - lane < kLanes ? p.segment - lane : kLanes;
      finish.store(sum, out + std::int64_t{s} * p.segment + lane, lanes);
      phase += kLanes;
      if (phase == p.period) phase = 0;
    }
  }
}

template <class V>
void depthwise_f32(const Call& call, Range rows) noexcept {
  const auto& p = *static_cast<const PackedDepthwise*>(call.params);
  std::int64_t row = rows.begin;
  while (row < rows.end) {
    const std::int64_t n = row / p.out_h, begin = row % p.out_h;
    const std::int64_t end = rows.end - n * p.out_h < p.out_h ? rows.end - n * p.out_h : p.out_h;
    const float* image = static_cast<const float*>(call.input) + n * p.image_step;
    if (p.staging.needed) {
      auto* scratch = static_cast<float*>(call.scratch);
      stage_rows<V>(p.staging, image, scratch, begin * p.stride_h, (end - 1) * p.stride_h + p.kernel_h);
      image = scratch;
    }
    for (std::int64_t h = begin; h < end; ++h) {
      const float* first = image + h * p.stride_h * p.staging.staged_row;
      float* out = static_cast<float*>(call.output) + (n * p.out_h + h) * p.out_row;
      depthwise_segments<V>(p, p.kernel_h, out, [&](int kh, std::int64_t at) {
        return V::load_x(first + std::int64_t{kh} * p.staging.staged_row + at);
      });
    }
    row = n * p.out_h + end;
  }
}

/// Integers: the rows of a window are interleaved element by element in groups of V::kStep, so that one
/// instruction sums a column of a window. Scratch: for each group staged_row cells of 4 bytes, then a row of
/// padding codes.
template <class V>
void depthwise_i8(const Call& call, Range rows) noexcept {
  const auto& p = *static_cast<const PackedDepthwise*>(call.params);
  const Staging& s = p.staging;
  const int groups = (p.kernel_h + V::kStep - 1) / V::kStep;
  auto* cells = static_cast<std::int32_t*>(call.scratch);
  auto* padding = static_cast<std::int8_t*>(static_cast<void*>(cells + std::int64_t{groups} * s.staged_row));
  for (std::int64_t i = 0; i < s.row; ++i) padding[i] = static_cast<std::int8_t>(s.zero_point);
  for (int g = 0; g < groups; ++g) {
    std::int32_t* line = cells + std::int64_t{g} * s.staged_row;
    V::fill_cells(line, s.left, s.zero_point);
    V::fill_cells(line + s.left + s.row, s.staged_row - s.left - s.row, s.zero_point);
  }
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t n = row / p.out_h;
    const auto* image = static_cast<const std::int8_t*>(call.input) + n * p.image_step;
    const std::int64_t top = (row % p.out_h) * p.stride_h - s.top;
    for (int g = 0; g < groups; ++g) {
      const std::int8_t* lines[V::kStep];
      for (int i = 0; i < V::kStep; ++i) {
        const std::int64_t kh = g * V::kStep + i, in = top + kh;
        lines[i] = kh < p.kernel_h && in >= 0 && in < s.in_h ? image + in * s.row : padding;
      }
      V::interleave(cells + std::int64_t{g} * s.staged_row + s.left, lines, s.row, s.zero_point);
    }
    depthwise_segments<V>(
        p, groups, static_cast<std::int8_t*>(call.output) + row * p.out_row,
        [&](int g, std::int64_t at) { return V::load_x(cells + std::int64_t{g} * s.staged_row + at); });
  }
}

}  // namespace
}  // namespace lathe::runtime
