#include <lathe/base/error.h>
#include <lathe/datasets/augment.h>

#include <algorithm>

namespace lathe::datasets {
namespace {

/// out[i] = in[i - by] along an axis of `extent` blocks of `block` elements, zeros where there is no in. In
/// place.
void shift(std::span<float> values, std::int64_t extent, std::int64_t block, std::int64_t by) {
  const std::int64_t kept = std::max<std::int64_t>(extent - std::abs(by), 0) * block;
  const auto first = values.begin(), last = values.end();
  if (by > 0) {
    std::copy_backward(first, first + kept, last);
    std::fill(first, last - kept, 0.0f);
  } else if (by < 0) {
    std::copy(last - kept, last, first);
    std::fill(first + kept, last, 0.0f);
  }
}

}  // namespace

Transform random_shift(int most) {
  check(most >= 0, "random_shift: {} pixels is negative", most);
  return [most](std::span<float> image, const Shape& shape, Rng rng) {
    const auto draw = [&] {
      return static_cast<std::int64_t>(rng.below(2 * static_cast<std::uint64_t>(most) + 1)) - most;
    };
    const std::int64_t height = shape[0], width = shape[1], channels = shape[2];
    const std::int64_t down = draw(), right = draw();
    shift(image, height, width * channels, down);
    for (std::int64_t row = 0; row < height; ++row)
      shift(image.subspan(static_cast<std::size_t>(row * width * channels),
                          static_cast<std::size_t>(width * channels)),
            width, channels, right);
  };
}

}  // namespace lathe::datasets
