#include "support/errors.h"

#include <lathe/datasets/augment.h>

#include <set>
#include <vector>

using namespace lathe;

TEST_CASE("a shifted image is the image moved by at most so many pixels, zeros come in") {
  const Shape shape{5, 7, 2};
  std::vector<float> image(70);
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i + 1);
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::vector<float> moved = image;
    datasets::random_shift(2)(moved, shape, Rng(seed));
    // The offset shows in the middle pixel, which stays inside.
    const auto middle = static_cast<std::int64_t>(moved[(2 * 7 + 3) * 2]) - 1;
    const std::int64_t down = 2 - middle / 14, right = 3 - middle % 14 / 2;
    seen.emplace(down, right);
    for (std::int64_t y = 0; y < 5; ++y)
      for (std::int64_t x = 0; x < 7; ++x)
        for (std::int64_t c = 0; c < 2; ++c) {
          const std::int64_t from_y = y - down, from_x = x - right;
          const bool inside = from_y >= 0 && from_y < 5 && from_x >= 0 && from_x < 7;
          const float expected = inside ? image[static_cast<std::size_t>((from_y * 7 + from_x) * 2 + c)] : 0;
          REQUIRE(moved[static_cast<std::size_t>((y * 7 + x) * 2 + c)] == expected);
        }
  }
  CHECK(seen.size() == 25);
}

TEST_CASE("a shift larger than the image leaves nothing, no shift leaves all") {
  std::vector<float> image(4, 1.0f);
  datasets::random_shift(0)(image, {2, 2, 1}, Rng(1));
  CHECK(image == std::vector<float>(4, 1.0f));
  for (std::uint64_t seed = 0; seed < 50; ++seed) datasets::random_shift(9)(image, {2, 2, 1}, Rng(seed));
  CHECK(image == std::vector<float>(4, 0.0f));
  CHECK_ERROR(datasets::random_shift(-1), "-1 pixels is negative");
}
