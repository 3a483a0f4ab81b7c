#include <doctest/doctest.h>

#include <lathe/base/random.h>
#include <lathe/datasets/image.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "idx_files.h"
#include "pictures.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

constexpr float kScale = 1.0f / 255.0f;

Tensor decode(const std::string& bytes, const Shape& shape, const ImageOptions& options = {}) {
  return decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())), "a.png", shape, options);
}
std::vector<float> values(const std::string& bytes, const Shape& shape, const ImageOptions& options = {}) {
  const Tensor image = decode(bytes, shape, options);
  CHECK(image.shape() == Shape{1, shape[0], shape[1], shape[2]});
  const auto span = image.span<float>();
  return {span.begin(), span.end()};
}
void check_close(const std::vector<float>& got, const std::vector<float>& expected, float tolerance = 1e-6f) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("value ", i);
    CHECK(std::abs(got[i] - expected[i]) <= tolerance);
  }
}

}  // namespace

TEST_CASE("image: a picture of the wanted size keeps its values, in each format") {
  const std::vector<std::uint8_t> grey{0, 51, 102, 153, 204, 255};
  const std::vector<float> expected{0, 51 * kScale, 102 * kScale, 153 * kScale, 204 * kScale, 1};
  check_close(values(png({3, 2}, grey), {2, 3, 1}), expected);
  check_close(values(bmp({3, 2}, grey), {2, 3, 1}), expected);
  check_close(values(jpeg({8, 8}, std::vector<std::uint8_t>(64, 100)), {8, 8, 1}),
              std::vector<float>(64, 100 * kScale), 0.01f);
}

TEST_CASE("image: channels are converted") {
  const std::string colour = png({2, 1}, {255, 0, 0, 10, 20, 30});
  check_close(values(colour, {1, 2, 3}), {1, 0, 0, 10 * kScale, 20 * kScale, 30 * kScale});
  check_close(values(colour, {1, 2, 1}), {0.299f, (0.299f * 10 + 0.587f * 20 + 0.114f * 30) * kScale});
  check_close(values(png({1, 1}, {51}), {1, 1, 3}), {0.2f, 0.2f, 0.2f});
}

TEST_CASE("image: what is transparent shows white") {
  const std::string rgba = png({3, 1}, {0, 0, 0, 255, 0, 0, 0, 0, 0, 255, 0, 51});
  check_close(values(rgba, {1, 3, 3}), {0, 0, 0, 1, 1, 1, 0.8f, 1, 0.8f});
  check_close(values(png({2, 1}, {0, 102, 0, 0}), {1, 2, 1}), {0.6f, 1});
}

TEST_CASE("image: invert turns dark on light into light on dark") {
  check_close(values(png({3, 1}, {0, 51, 255}), {1, 3, 1}, {.invert = true}), {1, 0.8f, 0});
}

TEST_CASE("image: resizing is bilinear when it enlarges and a weighted mean when it shrinks") {
  check_close(values(png({2, 1}, {0, 255}), {1, 4, 1}), {0, 0.25f, 0.75f, 1});
  check_close(values(png({1, 2}, {0, 255}), {4, 1, 1}), {0, 0.25f, 0.75f, 1});
  // Half size: the weights are 1/8 3/8 3/8 1/8, at the border 3/7 3/7 1/7.
  check_close(values(png({4, 1}, {255, 255, 0, 0}), {1, 2, 1}), {6.0f / 7, 1.0f / 7});
  check_close(values(png({1, 1}, {51}), {3, 3, 1}), std::vector<float>(9, 0.2f));
  for (const Size size : {Size{100, 3}, Size{7, 61}, Size{28, 28}}) {
    const std::vector<std::uint8_t> flat(static_cast<std::size_t>(size.width * size.height), 200);
    check_close(values(png(size, flat), {28, 28, 1}), std::vector<float>(784, 200 * kScale));
  }
}

TEST_CASE("image: crop takes the middle, stretch takes all") {
  const std::string wide = png({6, 2}, {0, 0, 128, 128, 255, 255, 0, 0, 128, 128, 255, 255});
  check_close(values(wide, {2, 2, 1}, {.fit = ImageOptions::Fit::crop}), std::vector<float>(4, 128 * kScale));
  const auto stretched = values(wide, {2, 2, 1});
  CHECK(stretched[0] < 0.3f);
  CHECK(stretched[1] > 0.7f);
  const std::string tall = png({1, 3}, {0, 128, 255});
  check_close(values(tall, {1, 1, 1}, {.fit = ImageOptions::Fit::crop}), {128 * kScale}, 0.002f);
}

TEST_CASE("image: cutting alone does not blur, whatever is left over on the sides") {
  const std::string odd = png({5, 2}, {10, 20, 30, 40, 50, 60, 70, 80, 90, 100});
  check_close(values(odd, {2, 2, 1}, {.fit = ImageOptions::Fit::crop}),
              {30 * kScale, 40 * kScale, 80 * kScale, 90 * kScale});
}

TEST_CASE("image: files that are no pictures are refused") {
  const TemporaryFolder folder;
  put_file(folder / "empty.png", "");
  put_file(folder / "text.png", "hello, this is text");
  put_file(folder / "a.gif", "GIF89a\x01\x01");
  const Shape shape{28, 28, 1};
  CHECK_ERROR(read_image(folder / "empty.png", shape), "empty.png: the file is empty, expected a picture");
  CHECK_ERROR(read_image(folder / "text.png", shape), "text.png: not a PNG, JPEG or BMP picture");
  CHECK_ERROR(read_image(folder / "a.gif", shape), "a.gif: not a PNG, JPEG or BMP picture");
  CHECK_ERROR(read_image(folder / "none.png", shape), "none.png: No such file or directory");
  CHECK_ERROR(read_image(folder.path(), shape), "not a regular file");
}

TEST_CASE("image: shapes that are none of an image are refused") {
  const std::string picture = png({1, 1}, {0});
  CHECK_ERROR(decode(picture, {28, 28}), "read_image: shape [28,28], expected [H,W,C] with C 1 or 3");
  CHECK_ERROR(decode(picture, {28, 28, 4}), "shape [28,28,4]");
  CHECK_ERROR(decode(picture, {0, 28, 1}), "shape [0,28,1]");
}

TEST_CASE("image: a header that claims a huge picture is refused before memory is asked for") {
  std::string huge = png({1, 1}, {0});
  // Width and height of the IHDR chunk at byte 16, big-endian.
  huge.replace(16, 8, std::string("\0\0\x4E\x20\0\0\x4E\x20", 8));
  CHECK_ERROR(decode(huge, {28, 28, 1}), "a.png: 20000x20000 pixels, at most 64000000 are read");
  huge.replace(16, 8, std::string("\0\0\x10\0\0\0\x10\0", 8));
  CHECK_ERROR(decode(huge, {28, 28, 1}), "a.png: its header claims 4096x4096 pixels, its ");
  huge.replace(16, 8, std::string("\x7F\xFF\xFF\xFF\x7F\xFF\xFF\xFF", 8));
  CHECK_ERROR(decode(huge, {28, 28, 1}), "a.png: ");
}

TEST_CASE("image: every cut of a picture is an error that names it") {
  const Size size{40, 30};
  for (const std::string& whole : {png(size, pattern(size, 3)), jpeg(size, pattern(size, 3))}) {
    for (std::size_t length = 0; length + 12 < whole.size(); length += 5) {
      CHECK_ERROR(decode(whole.substr(0, length), {28, 28, 3}), "a.png: ");
    }
  }
  const std::string half = jpeg(size, pattern(size, 1));
  CHECK_ERROR(decode(half.substr(0, half.size() / 2), {28, 28, 1}), "a.png: damaged JPEG picture");
}

TEST_CASE("Huffman tables with more symbols than there can be never reach the decoder") {
  const Size size{32, 24};
  const std::string whole = jpeg(size, pattern(size, 3));
  for (std::size_t at = whole.find("\xFF\xC4"); at != std::string::npos;
       at = whole.find("\xFF\xC4", at + 1)) {
    std::string bad = whole;
    bad[at + 5] = bad[at + 6] = '\xFF';  // codes of one and of two bits
    CHECK_ERROR(decode(bad, {24, 32, 3}), "damaged JPEG picture (bad Huffman table)");
    CHECK_ERROR(decode(whole.substr(0, at + 10), {24, 32, 3}), "damaged JPEG picture");
  }
  // The same bytes are harmless in a comment.
  std::string commented = whole;
  commented.insert(2, std::string("\xFF\xFE\x00\x20\xFF\xC4\x00\x1C", 8) + std::string(26, '\xFF'));
  CHECK(decode(commented, {24, 32, 3}).shape() == decode(whole, {24, 32, 3}).shape());
}

namespace {

/// EXIF data that say nothing but the orientation.
std::string exif_segment(int orientation, bool big_endian) {
  const auto number = [&](int value, int size) {
    std::string text;
    for (int i = 0; i < size; ++i) text += static_cast<char>(value >> 8 * (big_endian ? size - 1 - i : i));
    return text;
  };
  const std::string tiff = (big_endian ? std::string("MM\0*", 4) : std::string("II*\0", 4)) + number(8, 4) +
                           number(1, 2) + number(0x0112, 2) + number(3, 2) + number(1, 4) +
                           number(orientation, 2) + number(0, 2) + number(0, 4);
  const std::string content = std::string("Exif\0\0", 6) + tiff;
  const std::size_t length = content.size() + 2;
  return std::string("\xFF\xE1") + static_cast<char>(length >> 8) + static_cast<char>(length) + content;
}

}  // namespace

TEST_CASE("image: a photo is turned upright as its camera says") {
  // Dark but for the upper left quarter; where the light quarter goes under each orientation.
  const Size size{32, 32};
  std::vector<std::uint8_t> pixels(32 * 32, 0);
  for (std::size_t i = 0; i < pixels.size(); ++i)
    if (i / 32 < 16 && i % 32 < 16) pixels[i] = 255;
  const std::string plain = jpeg(size, pixels);
  constexpr std::size_t kQuarter[] = {0, 0, 1, 3, 2, 0, 1, 3, 2, 0};  // 0 upper left, 1 right, 2 lower left
  for (const bool big_endian : {false, true})
    for (int orientation = 0; orientation <= 9; ++orientation) {
      std::string turned = plain;
      // Behind a comment, with a byte between the two that belongs to none.
      const std::string comment("\xFF\xFE\0\4ab\0", 7);
      turned.insert(2, comment + exif_segment(orientation, big_endian));
      const auto quarters = values(turned, {2, 2, 1});
      INFO("orientation ", orientation);
      for (std::size_t i = 0; i < 4; ++i)
        CHECK((quarters[i] > 0.5f) == (i == kQuarter[static_cast<std::size_t>(orientation)]));
    }
  // Turned by a quarter, width and height change places: 48x16 with its right third light.
  std::vector<std::uint8_t> wide(48 * 16, 0);
  for (std::size_t i = 0; i < wide.size(); ++i)
    if (i % 48 >= 32) wide[i] = 255;
  std::string turned = jpeg({48, 16}, wide);
  turned.insert(2, exif_segment(6, true));
  const auto thirds = values(turned, {3, 1, 1});
  CHECK(thirds[0] < 0.2f);
  CHECK(thirds[2] > 0.8f);
  // A directory that lies outside of the segment says nothing.
  std::string damaged = exif_segment(6, true);
  damaged[4 + 6 + 4] = '\x7F';
  std::string odd = plain;
  odd.insert(2, damaged);
  CHECK(values(odd, {2, 2, 1})[0] > 0.5f);
}

TEST_CASE("image: four colour components that nothing explains are refused") {
  const std::string start = "\xFF\xD8";
  const std::string frame(
      "\xFF\xC0\x00\x14\x08\x00\x10\x00\x10\x04\x01\x11\x00\x02\x11\x00\x03\x11\x00\x04\x11\x00", 22);
  CHECK_ERROR(decode(start + frame, {8, 8, 3}),
              "a.png: JPEG picture of four colour components without a word on what they are");
  const std::string adobe(
      "\xFF\xEE\x00\x0E"
      "Adobe\x00\x64\x00\x00\x00\x00\x02",
      16);
  CHECK_ERROR(decode(start + adobe + frame, {8, 8, 3}), "a.png: damaged JPEG picture");
}

TEST_CASE("image: damaged pictures give an error or some picture, never worse") {
  const Size size{24, 20};
  Rng rng(1);
  int read = 0, refused = 0;
  for (const std::string& whole :
       {png(size, pattern(size, 4)), jpeg(size, pattern(size, 3)), bmp(size, pattern(size, 3))}) {
    for (int trial = 0; trial < 300; ++trial) {
      std::string damaged = whole;
      for (int flips = 0; flips < 3; ++flips)
        damaged[rng.below(damaged.size())] = static_cast<char>(rng.next());
      try {
        for (const float value : values(damaged, {9, 9, 3})) CHECK((value >= 0 && value <= 1));
        ++read;
      } catch (const Error& error) {
        CHECK(std::string(error.what()).starts_with("a.png: "));
        ++refused;
      }
    }
  }
  CHECK(read > 100);
  CHECK(refused > 100);
}

TEST_CASE("image: real photos and awkward files of many programs") {
  const char* root = std::getenv("LATHE_DATA");
  const std::filesystem::path folder =
      std::filesystem::path(root == nullptr ? "." : root) / "cats_vs_dogs_originals";
  if (root == nullptr || !std::filesystem::exists(folder)) {
    MESSAGE("skipped: LATHE_DATA names no folder with cats_vs_dogs_originals/");
    return;
  }
  std::set<std::string> refused;
  int read = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    try {
      const Tensor image = read_image(entry.path(), {64, 64, 3}, {.fit = ImageOptions::Fit::crop});
      CHECK(image.shape() == Shape{1, 64, 64, 3});
      ++read;
    } catch (const Error& error) {
      CHECK(std::string(error.what()).starts_with(entry.path().string() + ": "));
      refused.insert(entry.path().filename().string());
    }
  }
  CHECK(read == 44);
  // The last three are valid, of kinds that the decoder does not take.
  CHECK(refused ==
        std::set<std::string>{"bitflips_scan.jpg", "empty.jpg", "gif_named_jpg.jpg",
                              "huge_dimensions_header.jpg", "missing_eoi.jpg", "text_not_image.jpg",
                              "truncated_half.jpg", "truncated_in_header.jpg", "truncated_jpeg.jpg",
                              "hopper_bad_exif.jpg", "jpeg_ff00_header.jpg", "dog1_arithmetic.jpg"});

  // The same dog, stored in other ways, is about the same picture.
  const auto dog = [&](const std::string& name) { return read_image(folder / name, {32, 32, 3}); };
  const Tensor original = dog("kaggle/dog.1.jpg");
  for (const char* name : {"dog1_progressive", "dog1_restart_rows1", "dog1_sampling_1x1", "dog1_sampling_1x2",
                           "dog1_sampling_2x1", "dog1_sampling_4x1", "dog1_rgb_colorspace"}) {
    const Tensor other = dog(std::string("derived/") + name + ".jpg");
    double difference = 0;
    for (std::size_t i = 0; i < original.span<float>().size(); ++i) {
      difference += std::abs(original.span<float>()[i] - other.span<float>()[i]);
    }
    INFO(name);
    CHECK(difference / static_cast<double>(original.size()) < 0.01);
  }

  const auto distance = [](const Tensor& a, const Tensor& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.span<float>().size(); ++i)
      sum += std::abs(a.span<float>()[i] - b.span<float>()[i]);
    return sum / static_cast<double>(a.size());
  };
  CHECK(distance(original, dog("derived/dog1_cmyk.jpg")) < 0.01);
  // Stored lying on its side, shown upright.
  const auto grey = [&](const std::string& name) {
    return read_image(folder / "decoder_misc" / name, {32, 32, 1});
  };
  CHECK(distance(grey("hopper_gray.jpg"), grey("hopper_orientation_6.jpg")) < 0.02);
}
