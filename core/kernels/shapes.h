#pragma once

#include <cstdint>

/// The sizes that convolution, pooling and linear kernels work on, worked out once by the op. Activations are
/// [N,H,W,C].
namespace lathe::kernels {

/// The activations that kernels apply on the way: all that their gradient needs is the output.
enum class Clamp : std::uint8_t { none, relu, relu6 };

/// A bfloat16: the upper half of a float's bits.
enum class Bf16 : std::uint16_t {};

/// x [n,h,w,c], weight [o,kh,kw,c/groups], y [n,out_h,out_w,o]. Output pixel (i,j) starts at input pixel
/// (i*stride_h - top, j*stride_w - left); what lies outside the image counts as zero.
struct ConvShape {
  std::int64_t n = 1, h = 1, w = 1, c = 1;
  std::int64_t o = 1, kh = 1, kw = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t top = 0, left = 0;
  std::int64_t out_h = 1, out_w = 1;
  std::int64_t groups = 1;

  std::int64_t x_image() const { return h * w * c; }
  std::int64_t y_image() const { return out_h * out_w * o; }
  std::int64_t weights() const { return o * kh * kw * (c / groups); }
  /// Multiply-adds, those with padding included.
  std::int64_t macs() const { return n * out_h * out_w * weights(); }
  bool operator==(const ConvShape&) const = default;
};

/// x [n,i], weight [o,i], y [n,o]
struct LinearShape {
  std::int64_t n = 1, i = 1, o = 1;
  bool operator==(const LinearShape&) const = default;
};

/// x [n,h,w,c], y [n,out_h,out_w,c]; windows as in ConvShape, but padding takes no part in them.
struct PoolShape {
  std::int64_t n = 1, h = 1, w = 1, c = 1;
  std::int64_t kh = 2, kw = 2;
  std::int64_t stride_h = 2, stride_w = 2;
  std::int64_t top = 0, left = 0;
  std::int64_t out_h = 1, out_w = 1;

  std::int64_t x_image() const { return h * w * c; }
  std::int64_t y_image() const { return out_h * out_w * c; }
  bool operator==(const PoolShape&) const = default;
};

}  // namespace lathe::kernels
