#include "simd.h"

namespace lathe::kernels::simd::LATHE_LEVEL {
namespace {

using In = const float* __restrict;
using Out = float* __restrict;

void mask(In x, In mask, Out y, Index n) {
  for (Index i = 0; i < n; ++i) y[i] = mask[i] != 0.0f ? x[i] : 0.0f;
}

/// Elements that are looked up together: their ranks stay in registers or the nearest cache.
constexpr Index kTile = 64;
/// From so many thresholds on a search is faster than comparing with all.
constexpr Index kFew = 32;

void count_below(In x, In thresholds, Index count, std::int32_t* __restrict rank) {
  for (Index i = 0; i < kTile; ++i) rank[i] = 0;
  for (Index j = 0; j < count; ++j) {
    const float threshold = thresholds[j];
    for (Index i = 0; i < kTile; ++i) rank[i] += x[i] > threshold ? 1 : 0;
  }
}

/// All elements of the tile search in step, so that no branch depends on them.
void search(In x, In thresholds, Index count, std::int32_t* __restrict rank) {
  Index half = 1;
  while (2 * half <= count) half *= 2;
  for (Index i = 0; i < kTile; ++i) rank[i] = 0;
  for (; half > 0; half /= 2) {
    const auto step = static_cast<std::int32_t>(half), last = static_cast<std::int32_t>(count);
    for (Index i = 0; i < kTile; ++i) {
      // The first `next` thresholds are all below x when the last of them is; beyond the end none is.
      const std::int32_t next = rank[i] + step;
      const std::int32_t at = next <= last ? next : last;
      const bool below = x[i] > thresholds[at - 1];
      rank[i] = next <= last && below ? next : rank[i];
    }
  }
}

void step_tile(In x, In thresholds, In values, const std::int32_t* __restrict indices, Index count, Out y,
               std::int32_t* __restrict index) {
  std::int32_t rank[kTile];
  if (count <= kFew)
    count_below(x, thresholds, count, rank);
  else
    search(x, thresholds, count, rank);
  for (Index i = 0; i < kTile; ++i) {
    y[i] = x[i] != x[i] ? x[i] : values[rank[i]];
    index[i] = indices[rank[i]];
  }
}

void step(In x, In thresholds, In values, const std::int32_t* __restrict indices, Index count, Out y,
          std::int32_t* __restrict index, Index n) {
  Index i = 0;
  for (; i + kTile <= n; i += kTile) step_tile(x + i, thresholds, values, indices, count, y + i, index + i);
  if (i == n) return;
  float rest[kTile] = {}, looked_up[kTile];
  std::int32_t found[kTile];
  for (Index k = i; k < n; ++k) rest[k - i] = x[k];
  step_tile(rest, thresholds, values, indices, count, looked_up, found);
  for (Index k = i; k < n; ++k) y[k] = looked_up[k - i], index[k] = found[k - i];
}

}  // namespace

const Compression kCompression{.mask = mask, .step = step};

}  // namespace lathe::kernels::simd::LATHE_LEVEL
