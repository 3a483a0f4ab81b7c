#pragma once

#include "packed.h"

/// Parameters of the kernels that leave out weights of 0. Plain data only. What is left out is not
/// multiplied: an infinite input times a weight of 0 is 0 here, NaN in other kernels.
namespace lathe::runtime {

/// A weight that is not 0, and where its input is, in elements from the output's place.
struct SparseWeight {
  float weight = 0;
  std::int32_t offset = 0;
};

/// Pixels of a sampled convolution, see below.
inline constexpr int kSample = 32;

/// Convolution of floats with stride 1, lanes along the image: channels are brought apart into planes first
/// (the scratch memory), rows one after the other with their padding, so that an output channel is a sum of
/// shifted planes, each times one number. Outputs between rows, where a window would go around the end of a
/// row, are computed and left. 1x1: any pixels are a row.
///
/// A strip of output rows (1x1: of pixels) is computed at once, with the input channels in parts whose planes
/// stay in the first-level cache. Optionally a 2x2 maximum pool with stride 2 follows, whose output then is
/// meant. Unit: an output row (1x1: a pixel).
///
/// A pool whose whole output is at most kSample pixels is sampled instead: a plane has for each input pixel
/// of the windows' first pool window, (kernel_h + 1) x (kernel_w + 1) of them, what all pool windows have
/// there, kSample elements. Then all loads are aligned and the four inputs of the pool lie in the same lanes.
/// Unit: an image.
struct SparseConv {
  bool pointwise = false, pool = false;
  std::int32_t in_h = 1, in_w = 1, in_c = 1;
  std::int32_t out_h = 1, out_w = 1, out_c = 1;  ///< pointwise: out_h counts all pixels
  std::int32_t kernel_h = 1, kernel_w = 1;
  std::int32_t pad_top = 0, pad_left = 0;
  std::int32_t strip = 1;      ///< output rows (pixels) of a strip
  std::int32_t row = 1;        ///< elements of a staged row, padding included
  std::int32_t plane = 1;      ///< elements from plane to plane
  std::int32_t vectors = 1;    ///< of positions, computed together
  std::int32_t positions = 1;  ///< room for those of a strip, a multiple of 16 * vectors
  std::int32_t parts = 1;      ///< of input channels
  /// [(kernel_h + 1) * (kernel_w + 1), kSample] elements from the image's first to each pixel, -1: it lies
  /// outside. Null: not sampled.
  const std::int32_t* sample = nullptr;
  const SparseWeight* weight = nullptr;
  const std::int32_t* first = nullptr;  ///< [parts * O + 1] first weight of each part and output
  const float* bias = nullptr;          ///< [O]
  Clamp clamp;
};

/// Linear layer of floats: gathered inputs times weights, sixteen at a time. Unit: a sample.
struct SparseLinear {
  std::int32_t inputs = 0, outputs = 0;
  const float* weight = nullptr;        ///< sixteen by sixteen, filled up with 0
  const std::int32_t* index = nullptr;  ///< the input of each
  const std::int32_t* first = nullptr;  ///< [O + 1] first group of sixteen of each output
  const float* bias = nullptr;          ///< [O] padded to 16
  Clamp clamp;
};

}  // namespace lathe::runtime
