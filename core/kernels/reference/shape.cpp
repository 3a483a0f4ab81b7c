#include "shape.h"

namespace lathe::kernels::reference {
namespace {

/// Calls f(input, index in the input, index in the output).
template <typename F>
void for_each_joined(std::int64_t rows, std::span<const std::int64_t> widths, F&& f) {
  std::int64_t out = 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < widths.size(); ++i)
      for (std::int64_t c = 0; c < widths[i]; ++c) f(i, r * widths[i] + c, out++);
}

/// Calls f(index in y, index in x), the latter -1 in the border.
template <typename F>
void for_each_padded(const PadShape& s, F&& f) {
  std::int64_t out = 0;
  for (std::int64_t n = 0; n < s.n; ++n)
    for (std::int64_t i = -s.top; i < s.h + s.bottom; ++i)
      for (std::int64_t j = -s.left; j < s.w + s.right; ++j)
        for (std::int64_t c = 0; c < s.c; ++c) {
          const bool inside = i >= 0 && i < s.h && j >= 0 && j < s.w;
          f(out++, inside ? ((n * s.h + i) * s.w + j) * s.c + c : -1);
        }
}

}  // namespace

void concat(std::int64_t rows, std::span<const std::int64_t> widths, std::span<const float* const> inputs,
            float* y) {
  for_each_joined(rows, widths, [&](std::size_t input, auto from, auto to) { y[to] = inputs[input][from]; });
}

void concat_backward(std::int64_t rows, std::span<const std::int64_t> widths, const float* dy,
                     std::span<float* const> grads) {
  for_each_joined(rows, widths, [&](std::size_t input, auto to, auto from) { grads[input][to] = dy[from]; });
}

void pad(const PadShape& shape, const float* x, float* y) {
  for_each_padded(shape, [&](auto to, auto from) { y[to] = from < 0 ? 0 : x[from]; });
}

void pad_backward(const PadShape& shape, const float* dy, float* dx) {
  for_each_padded(shape, [&](auto from, auto to) {
    if (to >= 0) dx[to] = dy[from];
  });
}

}  // namespace lathe::kernels::reference
