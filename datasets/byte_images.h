#pragma once

#include <lathe/datasets/dataset.h>

#include <cstdint>
#include <span>

namespace lathe::datasets {

/// A pixel of 255 is 1.0f exactly.
inline constexpr float kPixelScale = 1.0f / 255.0f;

/// Labelled images held as bytes: what sets in memory share. Pixels [N,H,W,C] may be made on first use.
class ByteImages : public Dataset {
 public:
  ByteImages(Shape image_shape, std::vector<std::uint8_t> labels, int classes);

  std::int64_t size() const final { return static_cast<std::int64_t>(labels_.size()); }
  Shape image_shape() const final { return image_shape_; }
  const std::vector<std::string>& classes() const final { return classes_; }
  std::int32_t label(std::int64_t index) const final { return labels_[static_cast<std::size_t>(index)]; }
  void read(std::int64_t index, std::span<float> out, const Rng& rng) const final;
  void read_batch(std::span<const std::int64_t> indices, std::span<float> out, const Rng& rng) const final;

 private:
  /// size() * image_shape().size() bytes. May be called by several threads at once.
  virtual std::span<const std::uint8_t> pixels() const = 0;

  Shape image_shape_;
  std::vector<std::uint8_t> labels_;
  std::vector<std::string> classes_;  ///< "0", "1", ...
};

}  // namespace lathe::datasets
