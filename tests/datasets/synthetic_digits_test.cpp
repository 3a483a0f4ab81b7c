#include <doctest/doctest.h>

#include <lathe/datasets/synthetic_digits.h>
#include <zlib.h>

#include "support/errors.h"
#include "support/threads.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

std::vector<std::uint8_t> bytes_of(const DatasetPtr& data, std::int64_t count) {
  std::vector<float> pixels(784);
  std::vector<std::uint8_t> bytes;
  for (std::int64_t i = 0; i < count; ++i) {
    data->read(i, pixels, Rng(0));
    for (const float value : pixels) bytes.push_back(static_cast<std::uint8_t>(value * 255.0f + 0.5f));
  }
  return bytes;
}

std::uint32_t checksum(const std::vector<std::uint8_t>& bytes) {
  return static_cast<std::uint32_t>(crc32(0, bytes.data(), static_cast<uInt>(bytes.size())));
}

}  // namespace

TEST_CASE("synthetic digits: the same bytes on every machine") {
  // Changing these numbers makes results measured before incomparable: do it on purpose only.
  CHECK(checksum(bytes_of(synthetic_digits(1000, 1), 1000)) == 3911761883u);
  CHECK(checksum(bytes_of(synthetic_digits(1000, 2), 1000)) == 1612697940u);
  std::vector<std::uint8_t> labels;
  const DatasetPtr data = synthetic_digits(1000, 1);
  for (std::int64_t i = 0; i < 1000; ++i) labels.push_back(static_cast<std::uint8_t>(data->label(i)));
  CHECK(checksum(labels) == 1345757410u);
}

TEST_CASE("synthetic digits: an image depends on seed and index only") {
  const auto small = bytes_of(synthetic_digits(20, 7), 20);
  const auto of_large = bytes_of(synthetic_digits(500, 7), 20);
  CHECK(small == of_large);
  CHECK(small != bytes_of(synthetic_digits(20, 8), 20));
  const Threads one_thread(1);
  const auto serial = bytes_of(synthetic_digits(500, 7), 500);
  const Threads three_threads(3);
  CHECK(serial == bytes_of(synthetic_digits(500, 7), 500));
}

TEST_CASE("synthetic digits: ten classes, all about as frequent, no two images alike, ink in each") {
  const DatasetPtr data = synthetic_digits(2000, 3);
  CHECK(data->size() == 2000);
  CHECK(data->image_shape() == Shape{28, 28, 1});
  CHECK(data->classes().size() == 10);
  std::vector<int> counts(10);
  for (std::int64_t i = 0; i < 2000; ++i) ++counts[static_cast<std::size_t>(data->label(i))];
  for (const int count : counts) {
    CHECK(count > 140);
    CHECK(count < 260);
  }
  const auto bytes = bytes_of(data, 2000);
  for (std::size_t i = 0; i < 2000; ++i) {
    const auto* image = bytes.data() + i * 784;
    int bright = 0;
    for (int k = 0; k < 784; ++k) bright += image[k] > 128;
    CHECK(bright > 10);
    CHECK(bright < 450);
    if (i > 0) CHECK_FALSE(std::equal(image, image + 784, image - 784));
  }
}

TEST_CASE("synthetic digits: a number of images out of range is refused") {
  CHECK_ERROR(synthetic_digits(0, 1), "synthetic-digits: 0 images, expected 1..10000000");
  CHECK_ERROR(synthetic_digits(-5, 1), "-5 images");
  CHECK_ERROR(synthetic_digits(10'000'001, 1), "10000001 images");
}
