#pragma once

#include "conv_patch.h"

/// The convolution on packed weights, for a vector type V of any instruction set. V has
///   In, Element, Out       element types: of the input, as staged, of the output
///   Sum, Weight, Pixel     sixteen accumulators; sixteen channels of weights; one pixel's elements in every
///   lane kStep                  neighbouring elements that add() sums kMaxTile, kMaxPoolTile, kMaxBlocks
///   register blocking: output columns (pooled ones) and blocks of channels start, load, broadcast, add, max,
///   stage, fill, Finish and Scaling, what it reads of packed.h; widen where sums are more than add() adds to
///   (wide.h).
/// Everything is in an unnamed namespace: each instruction set has its own copy.
namespace lathe::runtime {
namespace {

/// Brings rows [begin, end) of the staged image into `to`.
template <class V>
void stage_rows(const Staging& s, const typename V::In* image, typename V::Element* to, std::int64_t begin,
                std::int64_t end) {
  if (s.left == 0 && s.staged_row == s.row && s.top == 0 && end <= s.in_h) {
    V::stage(to + begin * s.row, image + begin * s.row, (end - begin) * s.row, s.zero_point);
    return;
  }
  // Rows of the image that exist among these; what is between two of them is padding in one piece.
  const std::int64_t first = begin < s.top ? s.top : begin,
                     last = end < s.top + s.in_h ? end : s.top + s.in_h;
  typename V::Element* at = to + begin * s.staged_row;
  typename V::Element* const stop = to + end * s.staged_row;
  for (std::int64_t h = first; h < last; ++h) {
    typename V::Element* row = to + h * s.staged_row + s.left;
    V::fill(at, row - at, s.zero_point);
    V::stage(row, image + (h - s.top) * s.row, s.row, s.zero_point);
    at = row + s.row;
  }
  V::fill(at, stop - at, s.zero_point);
}

/// V that leaves out the steps of sixteen channels whose weights are all 0.
template <class V>
struct Kept : V {
  static constexpr bool kKept = true;
  static constexpr int kMaxBlocks = 1, kPatchTile = 0, kPatchPoolTile = 0;
};

/// `count` tiles side by side: kRows x kColumns windows each, for kBlocks blocks of sixteen channels, all
/// sums in registers. With two rows the windows are pooled two by two. in: first window's first element; out:
/// first output pixel.
template <class V, int kBlocks, int kRows, int kColumns>
void tiles(const PackedConv& p, const ConvBlock* block, const typename V::Element* in, typename V::Out* out,
           int count) {
  constexpr int kPixels = kRows * kColumns;
  constexpr int kBases = (kColumns + 2) / 3;  // a base register for three columns: x, x + step, x + 2 * step
  using Element = typename V::Element;
  using WeightElement = typename V::WeightElement;
  const std::int64_t step = p.pixel_step;
  for (int t = 0; t < count; ++t) {
    typename V::Sum sum[kBlocks][kPixels];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
#pragma GCC unroll 32
      for (int i = 0; i < kPixels; ++i) sum[b][i] = V::start(block[b].bias);
    }
    const WeightElement* weight[kBlocks];
#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) weight[b] = static_cast<const WeightElement*>(block[b].weight);

    if constexpr (requires { V::kKept; }) {
      for (int k = 0; k < block->kept; ++k) {
        const Element* x[kRows][kBases];
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
          for (int c = 0; c < kBases; ++c)
            x[r][c] = in + block->kept_offset[k] + r * p.row_step + 3 * c * step;
        }
        const typename V::Weight w = V::load(weight[0] + std::int64_t{k} * V::kStep * kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
          for (int c = 0; c < kColumns; ++c)
            V::add(sum[0][r * kColumns + c], w, V::broadcast(x[r][c / 3] + (c % 3) * step));
        }
      }
    } else {
      for (int run = 0; run < p.runs; ++run) {
        const Element* x[kRows][kBases];
#pragma GCC unroll 4
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
          for (int c = 0; c < kBases; ++c) x[r][c] = in + p.run_offset[run] + r * p.row_step + 3 * c * step;
        }
#pragma GCC unroll 4
        for (int k = 0; k < p.steps; ++k) {
          typename V::Weight w[kBlocks];
#pragma GCC unroll 4
          for (int b = 0; b < kBlocks; ++b) w[b] = V::load(weight[b] + std::int64_t{k} * V::kStep * kLanes);
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
            for (int c = 0; c < kColumns; ++c) {
              const typename V::Pixel pixel = V::broadcast(x[r][c / 3] + (c % 3) * step);
#pragma GCC unroll 4
              for (int b = 0; b < kBlocks; ++b) V::add(sum[b][r * kColumns + c], w[b], pixel);
            }
          }
#pragma GCC unroll 4
          for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
            for (int c = 0; c < kBases; ++c) x[r][c] += V::kStep;
          }
        }
#pragma GCC unroll 4
        for (int b = 0; b < kBlocks; ++b) weight[b] += std::int64_t{p.steps} * V::kStep * kLanes;
        if constexpr (requires { &V::widen; }) {
          for (auto& of_block : sum)
            for (auto& one : of_block) V::widen(one);
        }
      }
    }

#pragma GCC unroll 4
    for (int b = 0; b < kBlocks; ++b) {
      typename V::Out* to = out + block[b].out_offset;
      if constexpr (kRows == 1) {
        store_columns<V, kColumns>(p, block[b], sum[b], to);
      } else {
        typename V::Sum best[kColumns / 2];
#pragma GCC unroll 16
        for (int c = 0; c < kColumns / 2; ++c) {
          const auto upper = V::max(sum[b][2 * c], sum[b][2 * c + 1]);
          const auto lower = V::max(sum[b][kColumns + 2 * c], sum[b][kColumns + 2 * c + 1]);
          best[c] = V::max(upper, lower);
        }
        store_columns<V, kColumns / 2>(p, block[b], best, to);
      }
    }
    in += kColumns * step;
    out += std::int64_t{kColumns / kRows} * p.out_c;
  }
}

template <class V>
using Tiles = void (*)(const PackedConv&, const ConvBlock*, const typename V::Element*, typename V::Out*,
                       int);

/// The instance of `tiles` for a number of output columns.
template <class V, int kBlocks, bool kPool, int kColumns>
Tiles<V> select_tiles(int columns) {
  if constexpr (kColumns == 0) {
    return nullptr;
  } else {
    constexpr int kRows = kPool ? 2 : 1;
    return columns == kColumns ? &tiles<V, kBlocks, kRows, kRows * kColumns>
                               : select_tiles<V, kBlocks, kPool, kColumns - 1>(columns);
  }
}

/// One or two blocks of channels over `columns` of the output rows [begin, end) of an image.
template <class V, int kBlocks, bool kPool>
void conv_blocks(const PackedConv& p, const ConvBlock* block, const typename V::Element* image,
                 typename V::Out* out, std::int64_t begin, std::int64_t end, int columns) {
  constexpr int kMax = kPool ? V::kMaxPoolTile : V::kMaxTile;
  const int whole = columns / p.tile, rest = columns % p.tile;
  const Tiles<V> full = select_tiles<V, kBlocks, kPool, kMax>(p.tile);
  const Tiles<V> last = select_tiles<V, kBlocks, kPool, kMax>(rest);
  constexpr int kRows = kPool ? 2 : 1;
  for (std::int64_t row = begin; row < end; ++row) {
    const typename V::Element* in = image + block->in_offset + row * kRows * p.row_step;
    typename V::Out* to = out + row * p.out_w * p.out_c;
    full(p, block, in, to, whole);
    const std::int64_t done = std::int64_t{whole} * p.tile;
    if (rest > 0) last(p, block, in + done * kRows * p.pixel_step, to + done * p.out_c, 1);
  }
}

template <class V, bool kPool>
void conv_columns(const PackedConv& p, const typename V::Element* image, typename V::Out* out,
                  std::int64_t begin, std::int64_t end, int columns) {
  int b = 0;
  while (b < p.blocks) {
    const ConvBlock* block = p.block + b;
    if (V::kMaxBlocks >= 2 && b + 1 < p.blocks && block[0].in_offset == block[1].in_offset) {
      conv_blocks<V, V::kMaxBlocks >= 2 ? 2 : 1, kPool>(p, block, image, out, begin, end, columns);
      b += 2;
    } else {
      conv_blocks<V, 1, kPool>(p, block, image, out, begin, end, columns);
      ++b;
    }
  }
}

template <class V, bool kPool>
void conv_image(const PackedConv& p, const typename V::Element* image, typename V::Out* out,
                std::int64_t begin, std::int64_t end) {
  if (conv_patch<V, kPool>(p, image, out, begin, end)) return;
  conv_columns<V, kPool>(p, image, out, begin, end, p.out_w);
}

/// Pixels each alone, in one row.
template <class V>
void conv_pixels(const PackedConv& p, const Call& call, Range pixels) {
  const std::int64_t begin = pixels.begin, columns = pixels.end - begin;
  const auto* in = static_cast<const typename V::In*>(call.input) + begin * p.pixel_step;
  const typename V::Element* staged;
  if constexpr (V::kAlwaysStaged) {
    auto* scratch = static_cast<typename V::Element*>(call.scratch);
    V::stage(scratch, in, columns * p.pixel_step, p.staging.zero_point);
    staged = scratch;
  } else {
    staged = static_cast<const typename V::Element*>(static_cast<const void*>(in));
  }
  auto* out = static_cast<typename V::Out*>(call.output) + begin * p.out_c;
  conv_columns<V, false>(p, staged, out, 0, 1, static_cast<int>(columns));
}

template <class V>
void conv2d(const Call& call, Range rows) noexcept {
  const auto& p = *static_cast<const PackedConv*>(call.params);
  if (p.pixels) return conv_pixels<V>(p, call, rows);
  std::int64_t row = rows.begin;
  while (row < rows.end) {
    const std::int64_t n = row / p.out_h, begin = row % p.out_h;
    const std::int64_t end = rows.end - n * p.out_h < p.out_h ? rows.end - n * p.out_h : p.out_h;
    const auto* image = static_cast<const typename V::In*>(call.input) + n * p.image_step;
    const typename V::Element* staged;
    if (V::kAlwaysStaged || p.staging.needed) {
      auto* scratch = static_cast<typename V::Element*>(call.scratch);
      stage_rows<V>(p.staging, image, scratch, begin * p.rows_down, (end - 1) * p.rows_down + p.window_rows);
      staged = scratch;
    } else {
      staged = static_cast<const typename V::Element*>(static_cast<const void*>(image));
    }
    auto* out = static_cast<typename V::Out*>(call.output) + n * p.out_h * p.out_w * p.out_c;
    if (p.pool) {
      conv_image<V, true>(p, staged, out, begin, end);
    } else {
      conv_image<V, false>(p, staged, out, begin, end);
    }
    row = n * p.out_h + end;
  }
}

}  // namespace
}  // namespace lathe::runtime
