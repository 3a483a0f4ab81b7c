#pragma once

#include "../fast.h"
#include "../sparse.h"
#include "conv_tiles.h"
#include "unroll.h"

/// The sampled form of the convolution without zeros (sparse.h), for a vector type V as there.
namespace lathe::runtime {
namespace {

constexpr int kSampleVectors = kSample / kLanes;

template <class V>
void stage_samples(const SparseConv& p, const float* image, float* planes) {
  alignas(64) static constexpr float kOutside[kLanes] = {};
  const int samples = (p.kernel_h + 1) * (p.kernel_w + 1) * kSampleVectors;
  for (int sample = 0; sample < samples; ++sample) {
    const std::int32_t* at = p.sample + sample * kLanes;
    for (std::int64_t c = 0; c < p.in_c; c += kLanes) {
      const float* pixel[kLanes];
      for (int i = 0; i < kLanes; ++i) pixel[i] = at[i] >= 0 ? image + at[i] + c : kOutside;
      V::transpose(pixel, planes + c * p.plane + sample * kLanes, p.plane);
    }
  }
}

/// One output channel's part of the four sums of each pool window: `start` is the bias in the first part,
/// null in the others, which go on with `sums` [4,kSample]. The last part leaves the largest of the four in
/// the first kSample. kDown: elements between samples below each other, 0 where only `p` knows.
template <class V, int kDown>
__attribute__((noinline)) void sampled_sums(const SparseConv& p, const SparseWeight* begin,
                                            const SparseWeight* end, const float* planes, const float* start,
                                            bool last, float* sums) {
  const std::int64_t down = kDown != 0 ? kDown : std::int64_t{p.kernel_w + 1} * kSample;
  typename V::Sum sum[4][kSampleVectors];
  unroll<4>([&](auto phase) {
    unroll<kSampleVectors>([&](auto v) {
      sum[phase.value][v.value] =
          start != nullptr ? V::broadcast(start) : V::load_x(sums + phase.value * kSample + v.value * kLanes);
    });
  });
  for (const SparseWeight* weight = begin; weight < end; ++weight) {
    const auto factor = V::broadcast(&weight->weight);
    const float* const x = planes + weight->offset;
    unroll<4>([&](auto phase) {
      const float* const from = x + (phase.value & 1) * kSample + (phase.value >> 1) * down;
      unroll<kSampleVectors>(
          [&](auto v) { V::add(sum[phase.value][v.value], factor, V::load_x(from + v.value * kLanes)); });
    });
  }
  if (last) {
    unroll<kSampleVectors>([&](auto v) {
      const auto upper = V::max(sum[0][v.value], sum[1][v.value]);
      const auto lower = V::max(sum[2][v.value], sum[3][v.value]);
      V::store(sums + v.value * kLanes, V::max(upper, lower), V::mask(kLanes));
    });
    return;
  }
  unroll<4>([&](auto phase) {
    unroll<kSampleVectors>([&](auto v) {
      V::store(sums + phase.value * kSample + v.value * kLanes, sum[phase.value][v.value], V::mask(kLanes));
    });
  });
}

/// Scratch: planes of all channels, sums of all output channels rounded up to 16, sixteen of the pixels.
template <class V>
void sampled_conv2d(const SparseConv& p, const Call& call, Range images) noexcept {
  auto* const planes = static_cast<float*>(call.scratch);
  float* const sums = planes + std::int64_t{p.in_c} * p.plane;
  float* const pixels = sums + (p.out_c + kLanes - 1) / kLanes * kLanes * std::int64_t{p.positions};
  const int count = p.out_h * p.out_w;
  const auto run = p.kernel_w == 3 ? sampled_sums<V, 4 * kSample> : sampled_sums<V, 0>;
  for (std::int64_t n = images.begin; n < images.end; ++n) {
    stage_samples<V>(p, static_cast<const float*>(call.input) + n * p.in_h * p.in_w * p.in_c, planes);
    for (int part = 0; part < p.parts; ++part) {
      const std::int32_t* first = p.first + std::int64_t{part} * p.out_c;
      for (int o = 0; o < p.out_c; ++o)
        run(p, p.weight + first[o], p.weight + first[o + 1], planes, part == 0 ? p.bias + o : nullptr,
            part + 1 == p.parts, sums + std::int64_t{o} * p.positions);
    }
    const typename V::Finish finish(p.clamp, {}, nullptr);
    float* const out = static_cast<float*>(call.output) + n * count * p.out_c;
    for (int o = 0; o < p.out_c; o += kLanes) {
      const typename V::Mask mask = V::mask(p.out_c - o < kLanes ? p.out_c - o : kLanes);
      for (int from = 0; from < count; from += kLanes) {
        const float* line[kLanes];
        for (int i = 0; i < kLanes; ++i) line[i] = sums + std::int64_t{o + i} * p.positions + from;
        V::transpose(line, pixels, kLanes);
        for (int i = from; i < from + kLanes && i < count; ++i)
          finish.store(V::load_x(pixels + (i - from) * kLanes), out + std::int64_t{i} * p.out_c + o, mask);
      }
    }
  }
}

}  // namespace
}  // namespace lathe::runtime
