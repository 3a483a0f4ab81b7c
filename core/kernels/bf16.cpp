#include "bf16.h"

#include "onednn/conv.h"
#include "onednn/linear.h"
#include "parts.h"
#include "scratch.h"
#include "simd/simd.h"

#include <algorithm>

namespace lathe::kernels::bf16 {
namespace {

/// Room for so many numbers for the time of one call.
class Numbers {
 public:
  explicit Numbers(std::int64_t size) : scratch_((size + 1) / 2) {}
  Bf16* data() const { return reinterpret_cast<Bf16*>(scratch_.data()); }

 private:
  Scratch scratch_;
};

class Rounded {
 public:
  Rounded(std::int64_t size, const float* x) : numbers_(size) {
    parallel_for(size, 8192, [&](std::int64_t begin, std::int64_t end) {
      simd::simd().elementwise.to_bf16(x + begin, numbers_.data() + begin, end - begin);
    });
  }
  const Bf16* data() const { return numbers_.data(); }

 private:
  Numbers numbers_;
};

/// The gradient of what was before the clamp, [rows,o], rounded. Unless dbias is null it becomes the sums
/// over the rows, which are of the numbers before rounding.
class RoundedGradient {
 public:
  RoundedGradient(std::int64_t rows, std::int64_t o, Clamp clamp, const float* y, const float* dy,
                  float* dbias)
      : numbers_(rows * o) {
    const Parts parts(rows);
    const std::int64_t strip = std::max<std::int64_t>(1, kStrip / o), room = strip * o;
    const Scratch scratch(parts.count * (room + o));
    parts.run([&](std::int64_t part) {
      float* const masked = scratch.data() + part * (room + o);
      float* const sums = masked + room;
      std::fill_n(sums, o, 0.0f);
      for (std::int64_t row = parts.begin(part); row < parts.end(part); row += strip) {
        const std::int64_t count = std::min(strip, parts.end(part) - row), first = row * o;
        simd::simd().conv.mask(clamp, 1, count, o, y != nullptr ? y + first : nullptr, dy + first, 0, masked,
                               0, dbias != nullptr ? sums : nullptr);
        simd::simd().elementwise.to_bf16(masked, numbers_.data() + first, count * o);
      }
    });
    for (std::int64_t i = 0; dbias != nullptr && i < o; ++i) {
      dbias[i] = 0;
      for (std::int64_t part = 0; part < parts.count; ++part)
        dbias[i] += scratch.data()[part * (room + o) + room + i];
    }
  }
  const Bf16* data() const { return numbers_.data(); }

 private:
  static constexpr std::int64_t kStrip =
      4096;  ///< floats: they stay in the first cache until they are rounded
  Numbers numbers_;
};

}  // namespace

void conv_forward(const ConvShape& s, const float* x, const float* weight, const float* bias, Clamp clamp,
                  float* y) {
  onednn::conv_forward(s, Rounded(s.n * s.x_image(), x).data(), weight, bias, clamp, y);
}

void conv_backward(const ConvShape& s, Clamp clamp, const ConvGradients& g) {
  const RoundedGradient dy(s.n * s.out_h * s.out_w, s.o, clamp, g.y, g.dy, g.dbias);
  if (g.dx != nullptr) onednn::conv_backward_data(s, dy.data(), g.weight, g.dx);
  if (g.dweight != nullptr)
    onednn::conv_backward_weights(s, Rounded(s.n * s.x_image(), g.x).data(), dy.data(), g.dweight, nullptr);
}

void linear_forward(const LinearShape& s, const float* x, const float* weight, float* y) {
  onednn::linear_forward(s, Rounded(s.n * s.i, x).data(), Rounded(s.o * s.i, weight).data(), y);
}

void linear_backward(const LinearShape& s, Clamp clamp, const LinearGradients& g) {
  const RoundedGradient dy(s.n, s.o, clamp, g.y, g.dy, g.dbias);
  if (g.dx != nullptr) onednn::linear_backward_data(s, dy.data(), Rounded(s.o * s.i, g.weight).data(), g.dx);
  if (g.dweight != nullptr)
    onednn::linear_backward_weights(s, Rounded(s.n * s.i, g.x).data(), dy.data(), g.dweight);
}

}  // namespace lathe::kernels::bf16
