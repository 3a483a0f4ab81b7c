#include "support/errors.h"

#include <lathe/base/shape.h>

#include <limits>

using lathe::Shape;

TEST_CASE("a shape knows its extents and size") {
  const Shape shape{8, 28, 28, 1};
  CHECK(shape.rank() == 4);
  CHECK(shape[1] == 28);
  CHECK(shape[-1] == 1);
  CHECK(shape.size() == 6272);
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{3, 0}.size() == 0);
  CHECK(to_string(shape) == "[8,28,28,1]");
  CHECK(shape.with(0, 2) == Shape{2, 28, 28, 1});
}

TEST_CASE("impossible shapes are refused") {
  CHECK_ERROR((Shape{1, 2, 3, 4, 5, 6, 7}), "7 dimensions, at most 6");
  CHECK_ERROR((Shape{2, -1}), "extent -1 is negative");
  CHECK_ERROR((Shape{std::numeric_limits<std::int64_t>::max(), 2}), "overflows");
}
