#include <doctest/doctest.h>

#include <lathe/datasets/augment.h>
#include <lathe/datasets/loader.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "support/errors.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

/// One image of 6x8x1 whose value at (y, x) is (8 y + x + 1) / 48, as often as wanted.
class Ramp : public Dataset {
 public:
  explicit Ramp(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {6, 8, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t) const override { return 0; }
  void read(std::int64_t, std::span<float> out, const Rng&) const override {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i + 1) / 48;
  }

 private:
  std::int64_t size_;
  std::vector<std::string> classes_{"ramp"};
};

std::vector<int> read(const DatasetPtr& data, std::int64_t index, std::uint64_t seed = 0) {
  std::vector<float> image(static_cast<std::size_t>(data->image_shape().size()));
  data->read(index, image, Rng(seed));
  std::vector<int> result;
  for (const float value : image) result.push_back(static_cast<int>(std::lround(value * 48)));
  return result;
}

DatasetPtr ramp(std::int64_t size = 1) { return std::make_shared<Ramp>(size); }

}  // namespace

TEST_CASE("center_crop takes the middle, zeros where the image is too small") {
  const DatasetPtr middle = map(ramp(), center_crop(2, 4));
  CHECK(middle->image_shape() == Shape{2, 4, 1});
  CHECK(read(middle, 0) == std::vector<int>{19, 20, 21, 22, 27, 28, 29, 30});
  CHECK(read(map(ramp(), center_crop(1, 12)), 0) ==
        std::vector<int>{0, 0, 17, 18, 19, 20, 21, 22, 23, 24, 0, 0});
}

TEST_CASE("random_crop takes every part alike, each image its own") {
  std::set<int> corners;
  const DatasetPtr parts = map(ramp(400), random_crop(4, 7));
  for (std::int64_t i = 0; i < parts->size(); ++i) {
    const std::vector<int> part = read(parts, i);
    corners.insert(part[0]);
    CHECK(part[27] == part[0] + 3 * 8 + 6);
  }
  CHECK(corners == std::set<int>{1, 2, 9, 10, 17, 18});
  CHECK(read(parts, 7, 1) == read(parts, 7, 1));
  // An image that is too small is shown whole, anywhere.
  const DatasetPtr wide = map(ramp(40), random_crop(6, 10));
  for (std::int64_t i = 0; i < wide->size(); ++i) {
    const std::vector<int> whole = read(wide, i);
    CHECK(std::accumulate(whole.begin(), whole.end(), 0) == 48 * 49 / 2);
  }
}

TEST_CASE("random_resized_crop shows a part of the image in the wanted size") {
  const DatasetPtr parts = map(ramp(200), random_resized_crop(5, 5, {.least_area = 0.2f}));
  CHECK(parts->image_shape() == Shape{5, 5, 1});
  std::set<std::vector<int>> seen;
  for (std::int64_t i = 0; i < parts->size(); ++i) {
    const std::vector<int> part = read(parts, i);
    CHECK(part[0] < part[4]);   // to the right it gets lighter
    CHECK(part[0] < part[20]);  // and downwards
    CHECK(part[0] >= 1);
    CHECK(part[24] <= 48);
    seen.insert(part);
  }
  CHECK(seen.size() > 190);
  // All of a square image, when all of the area is wanted and no other aspect ratio.
  const DatasetPtr square = map(map(ramp(), center_crop(4, 4)), random_resized_crop(4, 4, {1.0f, 1.0f}));
  CHECK(read(square, 0) == read(map(ramp(), center_crop(4, 4)), 0));
  // Of an image that is too long the middle, when no part fits.
  const DatasetPtr thin = map(map(ramp(), center_crop(1, 8)), random_resized_crop(1, 1, {1.0f, 1.0f}));
  CHECK(read(thin, 0)[0] == doctest::Approx(20.5).epsilon(0.03));
}

TEST_CASE("transforms are composed by maps, and the same for any number of workers") {
  const DatasetPtr data = map(map(map(ramp(64), random_resized_crop(6, 6)), random_flip()), random_colour());
  const DataLoader alone(data, {.batch = 16, .shuffle = true, .seed = 3});
  const DataLoader helped(data, {.batch = 16, .shuffle = true, .seed = 3, .workers = 3});
  auto a = alone.epoch(2), b = helped.epoch(2);
  while (auto batch = a.next()) {
    const auto other = b.next();
    REQUIRE(other.has_value());
    const auto x = batch->images.span<float>(), y = other->images.span<float>();
    CHECK(std::equal(x.begin(), x.end(), y.begin(), y.end()));
  }
}

TEST_CASE("random_flip mirrors half of the images, or as many as wanted") {
  const std::vector<float> image{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  int mirrored = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    std::vector<float> flipped = image;
    random_flip()(flipped, {2, 3, 2}, Rng(seed));
    if (flipped == image) continue;
    CHECK(flipped == std::vector<float>{5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8});
    ++mirrored;
  }
  CHECK(mirrored > 160);
  CHECK(mirrored < 240);
  std::vector<float> same = image;
  random_flip(0)(same, {2, 3, 2}, Rng(1));
  CHECK(same == image);
  random_flip(1)(same, {2, 3, 2}, Rng(1));
  CHECK(same[0] == 5);
}

TEST_CASE("random_colour changes what it is asked to") {
  const std::vector<float> image{0.2f, 0.4f, 0.6f, 0.5f, 0.5f, 0.5f};
  const Shape shape{1, 2, 3};
  std::vector<float> same = image;
  random_colour({0, 0, 0})(same, shape, Rng(1));
  for (std::size_t i = 0; i < 6; ++i) CHECK(same[i] == doctest::Approx(image[i]));

  std::vector<float> brighter = image;
  random_colour({0.5f, 0, 0})(brighter, shape, Rng(1));
  const float factor = brighter[3] / 0.5f;
  CHECK(factor != 1);
  CHECK(factor > 0.5f);
  CHECK(factor < 1.5f);
  for (std::size_t i = 0; i < 6; ++i)
    CHECK(brighter[i] == doctest::Approx(std::min(1.0f, image[i] * factor)));

  std::vector<float> contrasted = image;
  random_colour({0, 0.5f, 0})(contrasted, shape, Rng(1));
  const float grey = (0.299f * 0.2f + 0.587f * 0.4f + 0.114f * 0.6f + 0.5f) / 2;
  CHECK((contrasted[0] - grey) / (0.2f - grey) == doctest::Approx((contrasted[3] - grey) / (0.5f - grey)));
  CHECK(contrasted[0] != image[0]);

  std::vector<float> vivid = image;
  random_colour({0, 0, 0.9f})(vivid, shape, Rng(1));
  CHECK(vivid[3] == doctest::Approx(0.5f));  // what is grey stays
  CHECK(vivid[0] != doctest::Approx(0.2f));

  std::vector<float> one{0.25f, 0.75f};
  for (std::uint64_t seed = 0; seed < 50; ++seed) random_colour({9, 9, 9})(one, {1, 2, 1}, Rng(seed));
  for (const float value : one) CHECK((value >= 0 && value <= 1));
}

TEST_CASE("transforms refuse options out of range") {
  CHECK_ERROR(center_crop(0, 4), "center_crop: 0x4 pixels, expected at least 1x1");
  CHECK_ERROR(random_crop(4, -1), "random_crop: 4x-1 pixels");
  CHECK_ERROR(random_resized_crop(0, 0), "random_resized_crop: 0x0 pixels");
  CHECK_ERROR(random_resized_crop(4, 4, {.least_area = 0}), "least area 0, expected above 0 and at most 1");
  CHECK_ERROR(random_resized_crop(4, 4, {.least_area = 1.5f}), "least area 1.5");
  CHECK_ERROR(random_resized_crop(4, 4, {.most_aspect = 0.5f}), "most aspect 0.5, expected at least 1");
  CHECK_ERROR(random_flip(1.5f), "random_flip: probability 1.5, expected 0..1");
  CHECK_ERROR(random_colour({-1, 0, 0}), "random_colour: strengths -1, 0 and 0, expected at least 0");
  CHECK_ERROR(map(ramp(), Resampling{}), "map: the transform is empty");
}
