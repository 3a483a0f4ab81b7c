#include "kernels/sparse.h"

#include "prepare.h"
#include "prepare_packed.h"
#include "sparse_cost.h"

#include <algorithm>
#include <vector>

namespace lathe::runtime {

namespace {

/// Below, no kernel that leaves out weights has been seen to win.
constexpr double kFewestZeros = 0.5;
/// Elements of planes that stay in the first-level cache, beside sums and weights.
constexpr std::int32_t kNearElements = 6144;
/// Elements of a row of outputs that are worth the start of a strip.
constexpr std::int32_t kStripElements = 256;

std::int32_t quotient_up(std::int32_t a, std::int32_t b) { return (a + b - 1) / b; }

double zeros_of(std::span<const float> weight) {
  return static_cast<double>(std::ranges::count(weight, 0.f)) / static_cast<double>(weight.size());
}

bool wanted(const Site& site, const SparseTimes& times) {
  return site.sparsity == Sparsity::always || times.faster();
}

/// The form of a pooled layer with few outputs; false where it does not fit: it holds four sums of all
/// outputs in registers.
bool set_samples(const Site& site, const Window2d& w, SparseConv& p, Store& store) {
  const std::int32_t pixels = p.out_h * p.out_w;
  if (!p.pool || p.in_c % kLanes != 0 || pixels > kSample || pixels <= kSample - kLanes ||
      site.blocking->sparse_vectors * kLanes < 4 * kSample)
    return false;
  const std::int32_t samples = (w.kernel_h + 1) * (w.kernel_w + 1);
  p.plane =
      samples * kSample + kLanes;  // a line more: a power of two would put all channels into the same sets
  p.positions = 4 * kSample;
  p.vectors = 4 * kSample / kLanes;
  p.parts = quotient_up(w.in_c, std::max(8, kNearElements / (samples * kSample)));
  const auto at = store.array<std::int32_t>(static_cast<std::size_t>(samples * kSample));
  std::ranges::fill(at, -1);
  auto next = at.begin();
  for (std::int32_t sample = 0; sample < samples; ++sample, next += kSample)
    for (std::int32_t i = 0; i < pixels; ++i) {
      const std::int32_t row = i / p.out_w * 2 + sample / (w.kernel_w + 1) - w.pad_top;
      const std::int32_t column = i % p.out_w * 2 + sample % (w.kernel_w + 1) - w.pad_left;
      if (row >= 0 && row < w.in_h && column >= 0 && column < w.in_w)
        next[i] = (row * w.in_w + column) * w.in_c;
    }
  p.sample = at.data();
  return true;
}

/// Strips, planes and tiles of positions; false where the kernel does not take the window.
bool set_geometry(const Site& site, const ConvSite& conv, SparseConv& p, Store& store) {
  const Window2d& w = conv.window;
  if (conv.groups != 1 || w.stride_h != 1 || w.stride_w != 1) return false;
  p = {.in_h = w.in_h, .in_w = w.in_w, .in_c = w.in_c, .out_h = w.out_h, .out_w = w.out_w, .out_c = w.out_c};
  p.pool = site.pool != nullptr;
  p.kernel_h = w.kernel_h;
  p.kernel_w = w.kernel_w;
  p.pad_top = w.pad_top;
  p.pad_left = w.pad_left;
  const std::int32_t most = site.blocking->sparse_vectors * kLanes;
  const bool pixels = w.kernel_h == 1 && w.kernel_w == 1 && w.in_h == w.out_h && w.in_w == w.out_w;
  p.pointwise = pixels && !p.pool;
  std::int32_t used;
  if (p.pointwise) {
    p.out_h = narrow(std::int64_t{w.batch} * w.out_h * w.out_w);
    p.out_w = 1;
    used = std::min(p.out_h, quotient_up(p.out_h, quotient_up(p.out_h, most)));
    p.strip = used = quotient_up(used, kLanes) * kLanes;
  } else {
    if (p.pool) {
      p.out_h /= 2;
      p.out_w /= 2;
    }
    if (set_samples(site, w, p, store)) return true;
    const std::int32_t pooled = p.pool ? 2 : 1;
    p.row = std::max(w.out_w - 1 + w.kernel_w, w.pad_left + w.in_w);
    p.strip = std::clamp(kStripElements / (p.row * pooled), 1, p.out_h);
    used = (p.strip * pooled - 1) * p.row + pooled * p.out_w;
  }
  const std::int32_t tiles = quotient_up(used, most);
  p.vectors = quotient_up(used, tiles * kLanes);
  p.positions = tiles * p.vectors * kLanes;
  const std::int32_t rows = p.strip * (p.pool ? 2 : 1) + w.kernel_h - 1;
  p.plane = p.pointwise ? p.positions : rows * p.row + kLanes;
  p.parts = quotient_up(w.in_c, std::max(8, kNearElements / p.plane));
  return true;
}

ConvWork work_of(const Site& site, const ConvSite& conv, const SparseConv& p, std::int64_t weights) {
  const Window2d& w = conv.window;
  const std::int64_t strips =
      p.sample != nullptr ? w.batch
                          : (std::int64_t{p.out_h} + p.strip - 1) / p.strip * (p.pointwise ? 1 : w.batch);
  const std::int64_t tiles = p.positions / (p.vectors * kLanes), outputs = round_up(p.out_c, kLanes);
  const std::int64_t windows = site.output_shape().size() / p.out_c * (p.pool ? 4 : 1);
  return {.dense_products = windows * w.kernel_h * w.kernel_w * w.in_c * outputs,
          .dense_outputs = windows * outputs,
          .vectors = strips * tiles * weights * p.vectors,
          .sums = strips * tiles * p.vectors * p.parts * p.out_c,
          .moved = strips * (p.plane * round_up(p.in_c, kLanes) + p.positions * outputs),
          .sampled = p.sample != nullptr};
}

/// Weights that are not 0, by part of the input channels and output.
std::int64_t pack_weights(const ConvSite& conv, std::span<const float> weight, SparseConv& p, Store& store) {
  const Window2d& w = conv.window;
  const std::int64_t taps = std::int64_t{w.kernel_h} * w.kernel_w, channels = w.in_c;
  const std::int64_t per_part = (channels + p.parts - 1) / p.parts;
  std::vector<SparseWeight> packed;
  const auto first = store.array<std::int32_t>(static_cast<std::size_t>(p.parts * p.out_c + 1));
  auto next = first.begin();
  for (std::int64_t part = 0; part < p.parts; ++part) {
    for (std::int64_t o = 0; o < p.out_c; ++o) {
      *next++ = narrow(static_cast<std::int64_t>(packed.size()));
      for (std::int64_t c = part * per_part; c < std::min(channels, (part + 1) * per_part); ++c) {
        for (std::int64_t tap = 0; tap < taps; ++tap) {
          const float value = weight[static_cast<std::size_t>((o * taps + tap) * channels + c)];
          if (value == 0) continue;
          const std::int64_t row = tap / w.kernel_w, column = tap % w.kernel_w;
          const std::int64_t at =
              p.sample != nullptr ? (row * (w.kernel_w + 1) + column) * kSample : row * p.row + column;
          packed.push_back({value, narrow(c * p.plane + at)});
        }
      }
    }
  }
  *next = narrow(static_cast<std::int64_t>(packed.size()));
  p.weight = store.copy(std::span<const SparseWeight>(packed));
  p.first = first.data();
  return *next;
}

}  // namespace

bool prepare_sparse_conv_f32(const Site& site, Store& store, Prepared& prepared) {
  const auto weight = constant<float>(site, 1);
  if (site.sparsity == Sparsity::never) return false;
  if (site.sparsity == Sparsity::choose && zeros_of(weight) < kFewestZeros) return false;
  const ConvSite conv = conv_site(site);
  if (site.pool != nullptr && !poolable(site, conv)) return false;
  SparseConv p;
  if (!set_geometry(site, conv, p, store)) return false;
  const auto weights = static_cast<std::int64_t>(weight.size()) - std::ranges::count(weight, 0.f);
  if (!wanted(site, estimate(work_of(site, conv, p, weights), site.level))) return false;
  pack_weights(conv, weight, p, store);
  p.clamp = clamp_of(conv.activation);
  const auto bias = store.array<float>(static_cast<std::size_t>(p.out_c));
  if (site.size() > 2) std::ranges::copy(constant<float>(site, 2), bias.begin());
  p.bias = bias.data();
  const std::int64_t channels = round_up(p.in_c, kLanes), outputs = round_up(p.out_c, kLanes);
  const std::int64_t scratch =
      channels * p.plane + p.vectors * kLanes + kLanes + (outputs + kLanes) * p.positions;
  const std::int64_t images = p.pointwise ? 1 : conv.window.batch;
  prepared = {.params = store.keep(p),
              .units = p.sample != nullptr ? images : images * p.out_h,
              .scratch_bytes = scratch * 4};
  return true;
}

bool prepare_sparse_linear_f32(const Site& site, Store& store, Prepared& prepared) {
  const auto weight = constant<float>(site, 1);
  if (site.sparsity == Sparsity::never) return false;
  if (site.sparsity == Sparsity::choose && zeros_of(weight) < kFewestZeros) return false;
  SparseLinear p{.inputs = narrow(site.input(1).shape[1]), .outputs = narrow(site.input(1).shape[0])};
  std::vector<float> values;
  std::vector<std::int32_t> index;
  const auto first = store.array<std::int32_t>(static_cast<std::size_t>(p.outputs) + 1);
  for (std::int32_t o = 0; o < p.outputs; ++o) {
    for (std::int32_t i = 0; i < p.inputs; ++i) {
      const float value = weight[static_cast<std::size_t>(std::int64_t{o} * p.inputs + i)];
      if (value == 0) continue;
      values.push_back(value);
      index.push_back(i);
    }
    const auto filled = static_cast<std::size_t>(round_up(static_cast<std::int64_t>(values.size()), kLanes));
    values.resize(filled);
    index.resize(filled, index.empty() ? 0 : index.back());
    first[static_cast<std::size_t>(o) + 1] = narrow(static_cast<std::int64_t>(filled) / kLanes);
  }
  const LinearWork work{.weights = static_cast<std::int64_t>(weight.size()),
                        .groups = static_cast<std::int64_t>(values.size()) / kLanes,
                        .outputs = p.outputs};
  if (!wanted(site, estimate(work, site.level))) return false;
  p.weight = store.copy(std::span<const float>(values));
  p.index = store.copy(std::span<const std::int32_t>(index));
  p.first = first.data();
  const auto padded = static_cast<std::size_t>(round_up(p.outputs, kLanes));
  const auto bias = store.array<float>(padded);
  if (site.size() > 2) std::ranges::copy(constant<float>(site, 2), bias.begin());
  p.bias = bias.data();
  p.clamp = clamp_of(std::get<graph::Linear>(site.op).activation);
  prepared = {.params = store.keep(p),
              .units = site.output_shape()[0],
              .scratch_bytes = static_cast<std::int64_t>(padded) * 4};
  return true;
}

}  // namespace lathe::runtime
