#include "byte_images.h"

#include <cassert>

namespace lathe::datasets {

ByteImages::ByteImages(Shape image_shape, std::vector<std::uint8_t> labels, int classes)
    : image_shape_(image_shape), labels_(std::move(labels)) {
  for (int i = 0; i < classes; ++i) classes_.push_back(std::to_string(i));
}

void ByteImages::read(std::int64_t index, std::span<float> out, const Rng& rng) const {
  read_batch({&index, 1}, out, rng);
}

void ByteImages::read_batch(std::span<const std::int64_t> indices, std::span<float> out, const Rng&) const {
  const auto length = static_cast<std::size_t>(image_shape_.size());
  assert(out.size() == indices.size() * length);
  const std::span<const std::uint8_t> all = pixels();
  float* to = out.data();
  for (const std::int64_t index : indices) {
    assert(index >= 0 && index < size());
    const std::uint8_t* from = all.data() + static_cast<std::size_t>(index) * length;
    for (std::size_t i = 0; i < length; ++i) to[i] = static_cast<float>(from[i]) * kPixelScale;
    to += length;
  }
}

}  // namespace lathe::datasets
