#pragma once

#include "../shapes.h"

#include <cstdint>

/// The backward pass of a convolution through a 2x2 max pool, one image at a time. Of each four output pixels
/// one has a gradient in each channel: only that one is visited, a quarter of the work of ordinary gradients.
/// Vectors run along the rows of windows.
namespace lathe::kernels::simd {

/// Where the gradient is not 0: a list for each channel, of at most `most` windows, most apart.
struct Maxima {
  std::int64_t o, most;
  float* grad;  ///< [o,most]
  std::int32_t*
      at;  ///< [o,most]: the first float of the convolution's window, in an image as WindowRows lie in
  std::int32_t* found;  ///< [o]
};

/// A window: kh rows of `run` floats, x_row apart. run is a multiple of PooledConv::width.
struct WindowRows {
  std::int64_t kh, run, x_row;
};

struct PooledConv {
  std::int64_t width;

  /// Lists where y, the output of `count` windows of a pool with `pixels` in a row, shows that the clamp let
  /// through and dy is not 0; both are [count,o], as argmax is. The convolution's output pixels have windows
  /// `pixel` floats apart, and `row` from row to row. Adds the sums of the gradients to dbias [o]. y may be
  /// null when clamp is none, dbias may be null.
  void (*find)(Clamp clamp, std::int64_t count, std::int64_t pixels, std::int64_t pixel, std::int64_t row,
               const float* y, const float* dy, const std::uint8_t* argmax, const Maxima& maxima,
               float* dbias);

  /// dweight [o,kh,run] += the sums of grad times its window.
  void (*weights)(const Maxima& maxima, const WindowRows& rows, const float* x, float* dweight);

  /// Windows of dx += grad times weight [o,kh,run].
  void (*data)(const Maxima& maxima, const WindowRows& rows, const float* weight, float* dx);
};

}  // namespace lathe::kernels::simd
