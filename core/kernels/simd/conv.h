#pragma once

#include "../shapes.h"

#include <cstdint>

/// Matrix products whose left matrix is read out of an image: row p of it are the values that output pixel p
/// of a convolution sees. No copy of the windows is made, neighbouring rows overlap in memory. A linear layer
/// and a 1x1 convolution are the case of one window row.
namespace lathe::kernels::simd {

/// Where the windows lie: x [.., x_row] floats a row, padding included; the window of output pixel (i,j)
/// starts at x + i * x_step + j * x_pixel and has `kh` rows of `run` contiguous values (kw * c), x_row apart.
struct Windows {
  const float* x;
  std::int64_t x_row, x_step, x_pixel;
  std::int64_t kh, run;
  std::int64_t out_h, out_w;
  /// The image rows that hold data are [first_row, last_row); those before and after are zeros, passed over.
  /// Output row i starts at image row i * stride_h.
  std::int64_t first_row, last_row, stride_h;
};

/// The columns of the right matrix b [kh * run, o]: b[k][c] lies at c / group * group_step + k * b_row + c %
/// group. In the result, pixels lie `pixel` floats apart.
struct Columns {
  std::int64_t o;
  std::int64_t pixel;
  std::int64_t group_step, b_row;
};

struct Conv {
  std::int64_t group;  ///< columns that are computed together

  /// y = clamp(windows * b + bias): y [out_h,out_w,o], y_row floats from row to row. bias may be null.
  void (*forward)(const Windows& windows, const Columns& columns, const float* b, const float* bias,
                  Clamp clamp, float* y, std::int64_t y_row);

  /// db += windows' * dy (db = when `overwrite`), db laid out as b, dy as y.
  void (*weights)(const Windows& windows, const Columns& columns, const float* dy, std::int64_t dy_row,
                  float* db, bool overwrite);

  /// out = dy where y shows that the clamp let through, else 0 (dy as it is when clamp is none),
  /// [rows,pixels,o] with `in_row` and `out_row` floats from row to row; adds the sums over all pixels to
  /// dbias [o]. out or dbias may be null.
  void (*mask)(Clamp clamp, std::int64_t rows, std::int64_t pixels, std::int64_t o, const float* y,
               const float* dy, std::int64_t in_row, float* out, std::int64_t out_row, float* dbias);

  /// The same through a max pool of 2x2 windows, whose output, gradient and argmax [rows,pixels,o] are given:
  /// out [2*rows,2*pixels,o] has the gradient where the maximum was and zeros elsewhere.
  void (*unpool)(Clamp clamp, std::int64_t rows, std::int64_t pixels, std::int64_t o, const float* y,
                 const float* dy, const std::uint8_t* argmax, float* out, std::int64_t out_row, float* dbias);
};

}  // namespace lathe::kernels::simd
