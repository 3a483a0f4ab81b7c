#pragma once

#include "../packed.h"
#include "unroll.h"

/// Convolution with 3x3 windows on images of one channel: all weights of sixteen output channels stay in
/// registers, and each input element is broadcast once for all the windows of a tile that hold it. V as in
/// conv_tiles.h.
namespace lathe::runtime {
namespace {

/// One block of sixteen channels on an image. The sums of a tile of kRows x kColumns windows are in
/// registers.
template <class V, int kStride>
class Patch {
 public:
  using Element = typename V::Element;
  static constexpr int kSize = 3;
  static constexpr int kSteps = (kSize + V::kStep - 1) / V::kStep;  // of a row of the window

  Patch(const PackedConv& p, const ConvBlock& block)
      : row_(p.staging.staged_row),
        out_step_(p.out_c),
        bias_(V::start(block.bias)),
        finish_(p.clamp, p.limits, static_cast<const typename V::Scaling*>(block.rescale)),
        mask_(V::mask(block.lanes)) {
    unroll<kSize * kSteps>([&](auto i) {
      weight_[i.value] =
          V::load(static_cast<const typename V::WeightElement*>(block.weight) + i.value * V::kStep * kLanes);
    });
  }

  template <int kColumns>
  __attribute__((always_inline)) void tile(const Element* in, typename V::Out* out) const {
    typename V::Sum sum[kColumns];
    sums<1, kColumns>(in, sum);
    unroll<kColumns>([&](auto c) { finish_.store(sum[c.value], out + c.value * out_step_, mask_); });
  }

  /// kColumns pooled columns: two rows of twice as many windows.
  template <int kColumns>
  __attribute__((always_inline)) void pooled_tile(const Element* in, typename V::Out* out) const {
    typename V::Sum sum[4 * kColumns];
    sums<2, 2 * kColumns>(in, sum);
    unroll<kColumns>([&](auto c) {
      constexpr int upper = 2 * c.value, lower = upper + 2 * kColumns;
      const typename V::Sum best =
          V::max(V::max(sum[upper], sum[upper + 1]), V::max(sum[lower], sum[lower + 1]));
      finish_.store(best, out + c.value * out_step_, mask_);
    });
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

  std::int64_t row_, out_step_;
  typename V::Sum bias_;
  typename V::Finish finish_;
  typename V::Mask mask_;
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
