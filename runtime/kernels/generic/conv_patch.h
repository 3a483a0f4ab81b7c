#pragma once

#include "../packed.h"
#include "unroll.h"

/// Convolution with 3x3 windows on images of one channel: all weights of sixteen output channels stay in
/// registers, and each input element is broadcast once for all the windows of a tile that hold it. V as in
/// conv_tiles.h.
namespace lathe::runtime {
namespace {

/// The same columns one by one. Called, not inlined, where it is the exception.
template <class V>
__attribute__((noinline)) void store_each_column(const PackedConv& p, const ConvBlock& block,
                                                 const typename V::Sum* sum, int columns,
                                                 typename V::Out* out) {
  const typename V::Finish finish(p.clamp, p.limits, static_cast<const typename V::Scaling*>(block.rescale));
  const typename V::Mask mask = V::mask(block.lanes);
  for (int c = 0; c < columns; ++c) finish.store(sum[c], out + c * std::int64_t{p.out_c}, mask);
}

/// Four at a time.
template <class V, bool kTwoSided, int kColumns>
__attribute__((always_inline)) inline void store_fours(const PackedConv& p, const ConvBlock& block,
                                                       const typename V::Sum* sum, typename V::Out* out) {
  const std::int64_t step = p.out_c;
  const typename V::template Columns<kTwoSided> columns(
      p.limits, static_cast<const typename V::Scaling*>(block.rescale), step, block.lanes);
  constexpr int kFours = kColumns / 4 * 4, kRest = kColumns - kFours;
#pragma GCC unroll 4
  for (int c = 0; c < kFours; c += 4)
    columns.template store<4>(sum[c], sum[c + 1], sum[c + 2], sum[c + 3], out + c * step);
  if constexpr (kRest > 0)
    columns.template store<kRest>(sum[kFours], sum[kFours + (kRest > 1)], sum[kColumns - 1],
                                  sum[kColumns - 1], out + kFours * step);
}

/// Stores neighbouring output columns of a block: one by one, or four at a time where V can (Columns).
template <class V, int kColumns>
__attribute__((always_inline)) inline void store_columns(const PackedConv& p, const ConvBlock& block,
                                                         const typename V::Sum* sum, typename V::Out* out) {
  if constexpr (requires { requires V::kFourColumns; }) {
    if (p.limits.rescaling >= Rescaling::exceptions) {
      store_fours<V, false, kColumns>(p, block, sum, out);
    } else if (p.limits.rescaling == Rescaling::two_sided) {
      store_fours<V, true, kColumns>(p, block, sum, out);
    } else {
      typename V::Sum copy[kColumns];  // the sums themselves can stay in registers
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) copy[c] = sum[c];
      store_each_column<V>(p, block, copy, kColumns, out);
    }
  } else {
    const typename V::Finish finish(p.clamp, p.limits,
                                    static_cast<const typename V::Scaling*>(block.rescale));
    const typename V::Mask mask = V::mask(block.lanes);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) finish.store(sum[c], out + c * std::int64_t{p.out_c}, mask);
  }
}

/// One block of sixteen channels on an image. The sums of a tile of kRows x kColumns windows are in
/// registers.
template <class V, int kStride>
class Patch {
 public:
  using Element = typename V::Element;
  static constexpr int kSize = 3;
  static constexpr int kSteps = (kSize + V::kStep - 1) / V::kStep;  // of a row of the window

  Patch(const PackedConv& p, const ConvBlock& block)
      : p_(p), block_(block), row_(p.staging.staged_row), bias_(V::start(block.bias)) {
    unroll<kSize * kSteps>([&](auto i) {
      weight_[i.value] =
          V::load(static_cast<const typename V::WeightElement*>(block.weight) + i.value * V::kStep * kLanes);
    });
  }

  template <int kColumns>
  __attribute__((always_inline)) void tile(const Element* in, typename V::Out* out) const {
    typename V::Sum sum[kColumns];
    sums<1, kColumns>(in, sum);
    store_columns<V, kColumns>(p_, block_, sum, out);
  }

  /// kColumns pooled columns: two rows of twice as many windows.
  template <int kColumns>
  __attribute__((always_inline)) void pooled_tile(const Element* in, typename V::Out* out) const {
    typename V::Sum sum[4 * kColumns];
    sums<2, 2 * kColumns>(in, sum);
    typename V::Sum best[kColumns];
    unroll<kColumns>([&](auto c) {
      constexpr int upper = 2 * c.value, lower = upper + 2 * kColumns;
      best[c.value] = V::max(V::max(sum[upper], sum[upper + 1]), V::max(sum[lower], sum[lower + 1]));
    });
    store_columns<V, kColumns>(p_, block_, best, out);
  }

 private:
  template <int kRows, int kColumns>
  __attribute__((always_inline)) void sums(const Element* in, typename V::Sum* sum) const {
    unroll<kRows * kColumns>([&](auto i) { sum[i.value] = bias_; });
    unroll<(kRows - 1) * kStride + kSize>([&](auto h) {
      unroll<(kColumns - 1) * kStride + (kSteps - 1) * V::kStep + 1>([&](auto w) {
        if constexpr (used<kColumns>(w.value)) {
          const typename V::Pixel pixel = V::broadcast(in + h.value * row_ + w.value);
          unroll<kRows>([&](auto r) {
            unroll<kColumns>([&](auto c) {
              constexpr int kh = h.value - r.value * kStride, step = step_at(w.value, c.value);
              if constexpr (kh >= 0 && kh < kSize && step >= 0)
                V::add(sum[r.value * kColumns + c.value], weight_[kh * kSteps + step], pixel);
            });
          });
        }
      });
    });
  }

  /// Which step of window `column` an input column is the first element of, or -1.
  static constexpr int step_at(int input, int column) {
    const int offset = input - column * kStride;
    return offset >= 0 && offset % V::kStep == 0 && offset / V::kStep < kSteps ? offset / V::kStep : -1;
  }
  template <int kColumns>
  static constexpr bool used(int input) {
    for (int c = 0; c < kColumns; ++c)
      if (step_at(input, c) >= 0) return true;
    return false;
  }

  const PackedConv& p_;
  const ConvBlock& block_;
  std::int64_t row_;
  typename V::Sum bias_;
  typename V::Weight weight_[kSize * kSteps];
};

/// Output rows [begin, end) of an image: tiles as wide as the registers allow, single columns at the end.
template <class V, bool kPool, int kStride>
void conv_patch_block(const PackedConv& p, const ConvBlock& block, const typename V::Element* image,
                      typename V::Out* out, std::int64_t begin, std::int64_t end) {
  constexpr int kTile = kPool ? V::kPatchPoolTile : V::kPatchTile / kStride;
  constexpr int kRows = kPool ? 2 : 1;
  const Patch<V, kStride> patch(p, block);
  for (std::int64_t row = begin; row < end; ++row) {
    const typename V::Element* in = image + row * kRows * p.row_step;
    typename V::Out* to = out + row * p.out_w * p.out_c + block.out_offset;
    const auto advance = [&](int columns) {
      in += columns * kRows * p.pixel_step;
      to += std::int64_t{columns} * p.out_c;
    };
    int left = p.out_w;
    for (; left >= kTile; left -= kTile) {
      if constexpr (kPool) {
        patch.template pooled_tile<kTile>(in, to);
      } else {
        patch.template tile<kTile>(in, to);
      }
      advance(kTile);
    }
    for (; left > 0; --left) {
      if constexpr (kPool) {
        patch.template pooled_tile<1>(in, to);
      } else {
        patch.template tile<1>(in, to);
      }
      advance(1);
    }
  }
}

/// Returns whether the convolution is one for this file (and then done).
template <class V, bool kPool>
bool conv_patch(const PackedConv& p, const typename V::Element* image, typename V::Out* out,
                std::int64_t begin, std::int64_t end) {
  if constexpr (V::kPatchTile > 0) {
    if (p.patch_stride == 1) {
      for (int b = 0; b < p.blocks; ++b) conv_patch_block<V, kPool, 1>(p, p.block[b], image, out, begin, end);
      return true;
    }
    if constexpr (!kPool) {
      if (p.patch_stride == 2) {
        for (int b = 0; b < p.blocks; ++b)
          conv_patch_block<V, kPool, 2>(p, p.block[b], image, out, begin, end);
        return true;
      }
    }
  }
  return false;
}

}  // namespace
}  // namespace lathe::runtime
