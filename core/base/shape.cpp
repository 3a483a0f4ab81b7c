#include <lathe/base/error.h>
#include <lathe/base/shape.h>

#include <algorithm>

namespace lathe {

Shape::Shape(std::initializer_list<std::int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const std::int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  check(dims.size() <= kMaxRank, "shape: {} dimensions, at most {} are possible", dims.size(), kMaxRank);
  std::ranges::copy(dims, dims_.begin());
  std::int64_t total = 1;
  for (std::int64_t extent : dims) {
    check(extent >= 0, "shape: extent {} is negative", extent);
    check(!__builtin_mul_overflow(total, extent, &total), "shape: the number of elements overflows");
  }
}

std::int64_t Shape::size() const {
  std::int64_t total = 1;
  for (std::int64_t extent : dims()) total *= extent;
  return total;
}

Shape Shape::with(int axis, std::int64_t extent) const {
  Shape result = *this;
  result.dims_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)] = extent;
  return Shape(result.dims());
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::int64_t extent : shape.dims()) {
    if (text.size() > 1) text += ',';
    text += std::to_string(extent);
  }
  return text + "]";
}

}  // namespace lathe
