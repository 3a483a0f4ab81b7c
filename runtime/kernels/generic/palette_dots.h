#pragma once

#include "../palette.h"
#include "linear_dots.h"
#include "unroll.h"

/// Linear layers whose weights are looked up in a palette held in registers. V as in linear_dots.h, and
///   Colors, colors          sixteen numbers
///   Indices, load_indices   a vector of eight indices each
///   look_up                 the weights of step s
/// Products are summed in the order of the dense kernel: the outputs are the same to the bit.
namespace lathe::runtime {
namespace {

template <class V, int kOutputs>
void palette_dots(const float* x, int inputs, const std::uint32_t* weight, const float* colors,
                  float* totals) {
  constexpr int kTogether = kPaletteSteps * V::kDot;
  const typename V::Colors palette = V::colors(colors);
  typename V::DotSum sum[kOutputs];
#pragma GCC unroll 16
  for (int o = 0; o < kOutputs; ++o) sum[o] = V::dot_zero();
  int i = 0;
  for (; i + kTogether <= inputs; i += kTogether) {
#pragma GCC unroll 16
    for (int o = 0; o < kOutputs; ++o) {
      const typename V::Indices indices = V::load_indices(weight + o * V::kDot);
      unroll<kPaletteSteps>([&](auto s) {
        V::dot_add(sum[o], V::look_up(palette, indices, s.value), V::dot_x(x + i + s.value * V::kDot));
      });
    }
    weight += kOutputs * V::kDot;
  }
  for (int s = 0; i < inputs; ++s, i += V::kDot) {
    const int rest = inputs - i;
    const auto part = rest >= V::kDot ? V::dot_x(x + i) : V::dot_rest_x(x + i, rest);
#pragma GCC unroll 16
    for (int o = 0; o < kOutputs; ++o)
      V::dot_add(sum[o], V::look_up(palette, V::load_indices(weight + o * V::kDot), s), part);
  }
#pragma GCC unroll 16
  for (int o = 0; o < kOutputs; ++o) totals[o] = V::total(sum[o]);
}

using PaletteDots = void (*)(const float*, int, const std::uint32_t*, const float*, float*);

template <class V, int kOutputs = V::kMaxOutputs>
PaletteDots select_palette_dots(int outputs) {
  if constexpr (kOutputs == 0) {
    return nullptr;
  } else {
    return outputs == kOutputs ? &palette_dots<V, kOutputs> : select_palette_dots<V, kOutputs - 1>(outputs);
  }
}

/// Scratch: the totals, padded to a multiple of 16.
template <class V>
void palette_linear(const Call& call, Range samples) noexcept {
  const auto& palette = *static_cast<const PaletteLinear*>(call.params);
  const PackedLinear& p = palette.layer;
  constexpr int kTogether = kPaletteSteps * V::kDot;
  const std::int64_t step = std::int64_t{(p.inputs + kTogether - 1) / kTogether} * V::kDot;
  auto* totals = static_cast<float*>(call.scratch);
  for (std::int64_t n = samples.begin; n < samples.end; ++n) {
    const auto* x = static_cast<const float*>(call.input) + n * p.inputs;
    const auto* weight = static_cast<const std::uint32_t*>(p.weight);
    for (int o = 0; o < p.outputs; o += p.group) {
      const int together = p.outputs - o < p.group ? p.outputs - o : p.group;
      select_palette_dots<V>(together)(x, p.inputs, weight, palette.colors, totals + o);
      weight += step * together;
    }
    finish_linear<V>(p, totals, static_cast<float*>(call.output) + n * p.outputs);
  }
}

}  // namespace
}  // namespace lathe::runtime
