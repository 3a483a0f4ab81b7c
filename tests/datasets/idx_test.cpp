#include <doctest/doctest.h>

#include <lathe/base/random.h>
#include <lathe/datasets/idx.h>

#include <cstdlib>

#include "idx_files.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

IdxArray parse(const std::string& bytes, int rank) {
  return parse_idx(std::as_bytes(std::span(bytes.data(), bytes.size())), "a.idx", rank);
}

std::vector<float> image(const DatasetPtr& data, std::int64_t index) {
  std::vector<float> pixels(static_cast<std::size_t>(data->image_shape().size()));
  data->read(index, pixels, Rng(0));
  return pixels;
}

}  // namespace

TEST_CASE("idx: extents and values come out of plain, gzipped and many-member files alike") {
  const std::string plain = idx_images(3, 4, 5);
  const std::string two_members = gzip(plain.substr(0, 30)) + gzip(plain.substr(30));
  for (const std::string& bytes : {plain, gzip(plain), two_members}) {
    const IdxArray array = parse(bytes, 3);
    CHECK(array.dims == std::vector<std::int64_t>{3, 4, 5});
    REQUIRE(array.values.size() == 60);
    for (std::size_t i = 0; i < 60; ++i) CHECK(array.values[i] == i);
  }
}

TEST_CASE("idx: every cut of a plain or gzipped file is an error that names it") {
  const std::string plain = idx_images(2, 3, 3);
  const std::string packed = gzip(plain);
  for (const std::string& whole : {plain, packed}) {
    for (std::size_t length = 0; length < whole.size(); ++length)
      CHECK_ERROR(parse(whole.substr(0, length), 3), "a.idx: ");
  }
  CHECK_ERROR(parse("", 3), "the file is empty");
  CHECK_ERROR(parse(plain.substr(0, 3), 3), "too short for an IDX file");
  CHECK_ERROR(parse(plain.substr(0, 10), 3), "truncated in its header");
  CHECK_ERROR(parse(plain.substr(0, plain.size() - 1), 3),
              "truncated: its header announces 18 bytes of data");
  CHECK_ERROR(parse(packed.substr(0, packed.size() / 2), 3), "truncated: the gzip data stops in the middle");
  CHECK_ERROR(parse(packed.substr(0, packed.size() - 1), 3), "truncated: the gzip data stops in the middle");
  CHECK_ERROR(parse(gzip(plain.substr(0, plain.size() - 1)), 3),
              "truncated: its header announces 18 bytes of data, it holds 17");
}

TEST_CASE("idx: damaged gzip data is noticed by its checksum") {
  const std::string packed = gzip(idx_images(4, 16, 16));
  int noticed = 0;
  for (std::size_t at = 10; at < packed.size(); ++at) {
    std::string damaged = packed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    try {
      parse(damaged, 3);
    } catch (const Error&) {
      ++noticed;
    }
  }
  CHECK(noticed == static_cast<int>(packed.size() - 10));
  std::string damaged = packed;
  damaged[packed.size() - 5] ^= 1;
  CHECK_ERROR(parse(damaged, 3), "a.idx: damaged gzip data at byte");
}

TEST_CASE("idx: files of another kind are refused by what they begin with") {
  CHECK_ERROR(parse("<!DOCTYPE html><html>404</html>", 3),
              "not an IDX file: it begins with 3c 21 44 4f, expected 00 00 08 03");
  CHECK_ERROR(parse(gzip("plain text"), 1),
              "not an IDX file: it begins with 70 6c 61 69, expected 00 00 08 01");
  CHECK_ERROR(parse(std::string("\0\0\x07\x03", 4) + std::string(20, 'x'), 3), "not an IDX file");
  const std::vector<std::uint8_t> values(12);
  CHECK_ERROR(parse(idx_bytes({1, 1, 3}, values, 0x0D), 3),
              "a.idx: holds 32-bit floats, expected unsigned bytes");
  CHECK_ERROR(parse(idx_bytes({1, 3, 4}, values, 0x09), 3), "holds signed bytes, expected unsigned bytes");
  CHECK_ERROR(parse(idx_labels(4), 3), "holds 1-dimensional data, expected 3 (images)");
  CHECK_ERROR(parse(idx_images(1, 2, 3), 1), "holds 3-dimensional data, expected 1 (labels)");
}

TEST_CASE("idx: extents that are zero, huge or overflow are refused before memory is asked for") {
  CHECK_ERROR(parse(idx_bytes({0, 28, 28}, {}), 3), "dimension 0 is 0");
  CHECK_ERROR(parse(idx_bytes({10, 0, 28}, {}), 3), "dimension 1 is 0");
  const std::vector<std::uint8_t> few(100);
  CHECK_ERROR(parse(idx_bytes({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, few), 3), "dimensions are too large");
  CHECK_ERROR(parse(idx_bytes({0xFFFFFFFF, 0xFFFFFFFF, 1}, few), 3), "its 116 bytes cannot hold them");
  CHECK_ERROR(parse(gzip(idx_bytes({0xFFFFFFFF, 0xFFFF, 1}, few)), 3), "bytes cannot hold them");
}

TEST_CASE("idx: bytes after the data are refused") {
  CHECK_ERROR(parse(idx_labels(5) + "x", 1),
              "a.idx: holds more than the 5 bytes of data that its header announces");
  CHECK_ERROR(parse(gzip(idx_labels(5) + "x"), 1),
              "holds more than the 5 bytes of data that its header announces");
  CHECK_ERROR(parse(gzip(idx_labels(5)) + "garbage", 1), "7 bytes of something else follow the gzip data");
  // A gzip bomb: its header tells 5 bytes, 10 MB would come out.
  CHECK_ERROR(parse(gzip(idx_labels(5) + std::string(10'000'000, '\0')), 1),
              "holds more than the 5 bytes of data");
}

TEST_CASE("idx: pixels are scaled to 0..1 and labels kept, for any image size") {
  const TemporaryFolder folder;
  put_file(folder / "i", gzip(idx_images(30, 6, 3)));
  put_file(folder / "l", idx_labels(30));
  const DatasetPtr data = open_idx(folder / "i", folder / "l");
  CHECK(data->size() == 30);
  CHECK(data->image_shape() == Shape{6, 3, 1});
  CHECK(data->classes() == std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
  CHECK(data->label(13) == 3);
  const std::vector<float> pixels = image(data, 14);  // bytes 252, 253, 254, 255, 0, 1, ...
  CHECK(pixels[0] == 252 * (1.0f / 255.0f));
  CHECK(pixels[3] == 1.0f);
  CHECK(pixels[4] == 0.0f);
}

TEST_CASE("idx: files that do not belong together are refused by name") {
  const TemporaryFolder folder;
  put_file(folder / "images", idx_images(3, 2, 2));
  put_file(folder / "labels", idx_labels(4));
  put_file(folder / "wild", idx_bytes({3}, std::vector<std::uint8_t>{0, 200, 1}));
  CHECK_ERROR(open_idx(folder / "images", folder / "labels"), "images holds 3 images, but ");
  CHECK_ERROR(open_idx(folder / "images", folder / "labels"), "labels holds 4 labels");
  CHECK_ERROR(open_idx(folder / "images", folder / "wild"),
              "wild: label 200 of sample 1 is out of range, expected 0..9");
  CHECK_ERROR(open_idx(folder / "labels", folder / "images"),
              "images: holds 3-dimensional data, expected 1 (labels)");
  CHECK_ERROR(open_idx(folder / "images", folder / "none"), "none: No such file or directory");
  CHECK_ERROR(open_idx(folder.path(), folder / "labels"), "not a regular file");
  CHECK_ERROR(open_idx(folder / "images", folder / "labels", 0), "0 classes, expected 1..256");
}

TEST_CASE("idx: the classes are as many as asked for") {
  const TemporaryFolder folder;
  put_file(folder / "images", idx_images(3, 2, 2));
  put_file(folder / "labels", idx_bytes({3}, std::vector<std::uint8_t>{0, 46, 1}));
  CHECK(open_idx(folder / "images", folder / "labels", 47)->classes().back() == "46");
  CHECK_ERROR(open_idx(folder / "images", folder / "labels", 46),
              "label 46 of sample 1 is out of range, expected 0..45");
}
