#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

namespace lathe {

/// Extents of a tensor, outermost first; activations are [N,H,W,C]. At most kMaxRank dimensions, none
/// negative.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  /// Throws Error when there are more than kMaxRank extents, one is negative, or their product overflows.
  Shape(std::initializer_list<std::int64_t> dims);
  explicit Shape(std::span<const std::int64_t> dims);

  int rank() const { return rank_; }
  /// Extent of an axis; a negative axis counts from the end. The axis must exist.
  std::int64_t operator[](int axis) const {
    return dims_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)];
  }
  std::span<const std::int64_t> dims() const& { return {dims_.data(), static_cast<std::size_t>(rank_)}; }
  std::span<const std::int64_t> dims() const&& = delete;
  /// Number of elements; 1 for a scalar (rank 0).
  std::int64_t size() const;
  /// The same shape with one extent replaced.
  Shape with(int axis, std::int64_t extent) const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

/// "[8,28,28,1]"
std::string to_string(const Shape& shape);

}  // namespace lathe
