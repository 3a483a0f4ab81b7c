#pragma once

#include <cstdint>
#include <span>

/// Concatenation and padding, element by element.
namespace lathe::kernels::reference {

/// y[r] = the rows r of all inputs one after the other; widths in the order of the inputs.
void concat(std::int64_t rows, std::span<const std::int64_t> widths, std::span<const float* const> inputs,
            float* y);
/// The gradient of each input is its part of dy.
void concat_backward(std::int64_t rows, std::span<const std::int64_t> widths, const float* dy,
                     std::span<float* const> grads);

/// x [n,h,w,c] -> y [n,top+h+bottom,left+w+right,c]
struct PadShape {
  std::int64_t n = 1, h = 1, w = 1, c = 1;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;
};
void pad(const PadShape& shape, const float* x, float* y);
void pad_backward(const PadShape& shape, const float* dy, float* dx);

}  // namespace lathe::kernels::reference
