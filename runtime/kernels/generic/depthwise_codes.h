#pragma once

#include "../packed.h"

/// Depthwise convolution of codes (packed.h, PackedDepthwiseCodes), for a vector type V (conv_tiles.h) with
///   kChunk, kParts               codes computed together; how many times 16 bytes a register is
///   kSums                        sums of a chunk
///   cells                        a chunk of kStep rows that are `step` elements apart, interleaved
///   add_from                     as add, the weight in memory
///   stage_loose, fill_loose      as stage and fill, may write 64 bytes beyond the end
///   stage_columns                pixels that are some way apart, one beside the other; as loose
///   store_chunk                  rescaled, in order
namespace lathe::runtime {
namespace {

/// kRows output rows, one under the other. Sizes of the window are compile-time numbers where they are
/// common, else 0. kHow: of Rescaling those in floats, else fixed; a branch for each chunk would keep its
/// sums out of registers.
template <class V, int kRows, int kColumns, int kGroups, Rescaling kHow>
class DepthwiseRows {
 public:
  explicit DepthwiseRows(const PackedDepthwiseCodes& p)
      : weight_(static_cast<const typename V::WeightElement*>(p.weight)),
        bias_(static_cast<const typename V::SumElement*>(p.bias)),
        rescale_(static_cast<const typename V::Scaling*>(p.rescale)),
        row_(p.row),
        pixel_(p.channels),
        out_row_(std::int64_t{p.out_w} * p.channels),
        tap_(p.tap),
        columns_(kColumns > 0 ? kColumns : p.kernel_w),
        groups_(kGroups > 0 ? kGroups : p.groups),
        together_(kRows > 1 ? kRows : p.together),
        chunks_(p.chunks),
        clamp_(p.clamp),
        limits_(p.limits) {}

  /// Flat rows.
  void all(const typename V::Element* x, typename V::Out* out) const {
    int chunk = 0;
    for (std::int64_t at = 0; at < out_row_; at += V::kChunk) {
      run(x + at, out + at, chunk, out_row_ - at);
      chunk = chunk + 1 == chunks_ ? 0 : chunk + 1;
    }
  }
  /// One chunk of the channels of each pixel.
  void pixels(const typename V::Element* x, typename V::Out* out, int chunk) const {
    const std::int64_t first = std::int64_t{chunk} * V::kChunk;
    for (std::int64_t at = first; at < out_row_; at += pixel_) run(x + at, out + at, chunk, pixel_ - first);
  }

 private:
  /// A chunk of lanes, of which `lanes` exist.
  __attribute__((always_inline)) void run(const typename V::Element* x, typename V::Out* out, int chunk,
                                          std::int64_t lanes) const {
    constexpr int kElements = V::kChunk * V::kStep;
    const auto* weight = weight_ + std::int64_t{chunk} * (groups_ * columns_ * together_ * kElements);
    const auto* bias = bias_ + chunk * V::kChunk;
    typename V::Sum sum[kRows][V::kSums];
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
      for (int s = 0; s < V::kSums; ++s) sum[r][s] = V::start(bias + s * kLanes);
    }
    const int columns = kColumns > 0 ? kColumns : columns_, groups = kGroups > 0 ? kGroups : groups_;
#pragma GCC unroll 2
    for (int g = 0; g < groups; ++g, x += V::kStep * row_) {
#pragma GCC unroll 3
      for (int c = 0; c < columns; ++c, weight += together_ * kElements) {
        typename V::Pixel cell[V::kSums];
        V::cells(x + tap_[c], row_, cell);
#pragma GCC unroll 2
        for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
          for (int s = 0; s < V::kSums; ++s)
            V::add_from(sum[r][s], weight + r * kElements + s * kLanes * V::kStep, cell[s]);
        }
      }
    }
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r)
      V::template store_chunk<kHow>(sum[r], clamp_, limits_, rescale_ + chunk * V::kSums, out + r * out_row_,
                                    lanes);
  }

  const typename V::WeightElement* weight_;
  const typename V::SumElement* bias_;
  const typename V::Scaling* rescale_;
  std::int64_t row_, pixel_, out_row_;
  const std::int32_t* tap_;
  int columns_, groups_, together_, chunks_;
  Clamp clamp_;
  CodeLimits limits_;
};

/// The output rows of a strip; staged rows follow each other from that of the first window. Flat rows take
/// one chunk of weights after the other; else one chunk of weights is used for all rows, so that it stays in
/// the first-level cache.
template <class V, int kColumns, int kGroups, Rescaling kHow>
void depthwise_strip(const PackedDepthwiseCodes& p, const typename V::Element* staged, typename V::Out* out,
                     std::int64_t rows) {
  const DepthwiseRows<V, 1, kColumns, kGroups, kHow> single(p);
  const DepthwiseRows<V, 2, kColumns, kGroups, kHow> pair(p);
  const std::int64_t down = std::int64_t{p.stride_h} * p.row, out_row = std::int64_t{p.out_w} * p.channels;
  const std::int64_t pairs = p.together == 2 ? rows / 2 : 0;
  for (int chunk = 0; chunk < (p.flat ? 1 : p.chunks); ++chunk) {
    const typename V::Element* x = staged;
    typename V::Out* to = out;
    for (std::int64_t i = 0; i < pairs; ++i, x += 2 * down, to += 2 * out_row)
      p.flat ? pair.all(x, to) : pair.pixels(x, to, chunk);
    for (std::int64_t h = 2 * pairs; h < rows; ++h, x += down, to += out_row)
      p.flat ? single.all(x, to) : single.pixels(x, to, chunk);
  }
}

template <class V>
using DepthwiseStrip = void (*)(const PackedDepthwiseCodes&, const typename V::Element*, typename V::Out*,
                                std::int64_t);

template <class V, Rescaling kHow>
DepthwiseStrip<V> depthwise_strip_of(const PackedDepthwiseCodes& p) {
  if (p.kernel_h == 3 && p.kernel_w == 3) return depthwise_strip<V, 3, 4 / V::kStep, kHow>;
  if (p.kernel_h == 5 && p.kernel_w == 5) return depthwise_strip < V, 5, V::kStep == 4 ? 2 : 3, kHow > ;
  return depthwise_strip<V, 0, 0, kHow>;
}
template <class V>
DepthwiseStrip<V> depthwise_strip_for(const PackedDepthwiseCodes& p) {
  if constexpr (requires { requires V::kFourColumns; }) {
    if (p.limits.rescaling >= Rescaling::exceptions) return depthwise_strip_of<V, Rescaling::exceptions>(p);
    if (p.limits.rescaling == Rescaling::two_sided) return depthwise_strip_of<V, Rescaling::two_sided>(p);
  }
  return depthwise_strip_of<V, Rescaling::fixed>(p);
}

/// One row of the image with its padding: planes of the columns that the stride brings together.
template <class V>
void stage_depthwise_row(const PackedDepthwiseCodes& p, const typename V::In* row, typename V::Element* to) {
  for (int i = 0; i < p.stride_w; ++i, to += p.plane) {
    const DepthwisePlane& plane = p.planes[i];
    if (plane.before > 0) V::fill_loose(to, plane.before, p.zero_point);
    if (p.stride_w == 1) {
      V::stage_loose(to + plane.before, row + plane.from, plane.columns * p.channels, p.zero_point);
    } else {
      V::stage_columns(to + plane.before, row + plane.from, p.channels, plane.columns,
                       p.stride_w * p.channels, p.zero_point);
    }
    if (plane.after > 0) V::fill_loose(to + p.plane - plane.after, plane.after, p.zero_point);
  }
}

/// Scratch: the staged rows of a strip, as many more as the groups read beyond them, and 64 bytes.
template <class V>
void depthwise_codes(const Call& call, Range rows) noexcept {
  const auto& p = *static_cast<const PackedDepthwiseCodes*>(call.params);
  const auto run = depthwise_strip_for<V>(p);
  auto* staged = static_cast<typename V::Element*>(call.scratch);
  std::int64_t n = rows.begin < p.out_h ? 0 : rows.begin / p.out_h, h = rows.begin - n * p.out_h;
  for (std::int64_t row = rows.begin; row < rows.end;) {
    const std::int64_t in_image = p.out_h - h, in_range = rows.end - row;
    const std::int64_t there = in_image < in_range ? in_image : in_range;
    const std::int64_t strip = there < p.strip ? there : p.strip;
    const auto* image = static_cast<const typename V::In*>(call.input) + n * p.in_h * p.in_w * p.channels;
    const std::int64_t top = h * p.stride_h - p.pad_top;
    for (std::int64_t i = 0; i < (strip - 1) * p.stride_h + p.kernel_h; ++i) {
      typename V::Element* to = staged + i * p.row;
      if (top + i >= 0 && top + i < p.in_h) {
        stage_depthwise_row<V>(p, image + (top + i) * p.in_w * p.channels, to);
      } else {
        V::fill_loose(to, p.row, p.zero_point);
      }
    }
    run(p, staged, static_cast<typename V::Out*>(call.output) + row * p.out_w * p.channels, strip);
    row += strip;
    h += strip;
    if (h == p.out_h) {
      h = 0;
      ++n;
    }
  }
}

}  // namespace
}  // namespace lathe::runtime
