#include <doctest/doctest.h>

#include <lathe/datasets/synthetic_shapes.h>

#include <algorithm>

#include "support/errors.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

std::vector<float> picture(const DatasetPtr& data, std::int64_t index) {
  std::vector<float> values(static_cast<std::size_t>(data->image_shape().size()));
  data->read(index, values, Rng(0));
  return values;
}

}  // namespace

TEST_CASE("synthetic shapes depend on seed and index only, and lie in 0..1") {
  const DatasetPtr data = synthetic_shapes(10, 1, {32, 48, 3});
  CHECK(data->size() == 10);
  CHECK(data->classes() == std::vector<std::string>{"cornered", "round"});
  CHECK(data->label(0) == 0);
  CHECK(data->label(7) == 1);
  CHECK(picture(data, 3) == picture(synthetic_shapes(4, 1, {32, 48, 3}), 3));
  CHECK(picture(data, 3) != picture(synthetic_shapes(10, 2, {32, 48, 3}), 3));
  CHECK(picture(data, 3) != picture(data, 5));
  for (std::int64_t i = 0; i < 10; ++i)
    for (const float value : picture(data, i)) CHECK((value >= 0 && value <= 1));
  double sum = 0;
  for (const float value : picture(data, 0)) sum += static_cast<double>(value);
  CHECK(sum == doctest::Approx(2527.57).epsilon(1e-5));  // on every machine
}

TEST_CASE("synthetic shapes refuse sizes that make no sense") {
  CHECK_ERROR(synthetic_shapes(0, 1), "synthetic shapes: 0 pictures, expected 1..10000000");
  CHECK_ERROR(synthetic_shapes(1, 1, {8, 8, 1}), "pictures of shape [8,8,1], expected [H,W,3]");
}
