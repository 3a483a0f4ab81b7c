#include <doctest/doctest.h>

#include <lathe/base/io.h>
#include <lathe/datasets/folder.h>
#include <lathe/datasets/loader.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "idx_files.h"
#include "pictures.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/threads.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

const FolderOptions kSmall{.image = {8, 8, 1}};

/// A grey photo whose level tells which one it is.
std::string photo(int level) {
  return png({10, 9}, std::vector<std::uint8_t>(90, static_cast<std::uint8_t>(level)));
}

/// Levels of the photos of a part, in order.
std::vector<int> levels(const Dataset& part) {
  std::vector<int> result;
  std::vector<float> image(static_cast<std::size_t>(part.image_shape().size()));
  for (std::int64_t i = 0; i < part.size(); ++i) {
    part.read(i, image, Rng(0));
    CHECK(std::all_of(image.begin(), image.end(), [&](float value) { return value == image[0]; }));
    result.push_back(static_cast<int>(std::lround(image[0] * 255)));
  }
  return result;
}

std::string text_of(const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Cats 1.. of levels 1.., dogs 1.. of levels 101..
void put_numbered(const TemporaryFolder& root, int cats, int dogs) {
  for (int i = 1; i <= cats; ++i) put_file(root / fmt::format("cat/{:05}.png", i), photo(i));
  for (int i = 1; i <= dogs; ++i) put_file(root / fmt::format("dog/{:05}.png", i), photo(100 + i));
}

}  // namespace

TEST_CASE("folder: numbers in the names make the split, classes take turns") {
  const TemporaryFolder root;
  put_numbered(root, 10, 7);
  FolderOptions options = kSmall;
  options.test_above = 5;
  const Named halves = open_folder(root.path(), options);
  CHECK(halves.train->classes() == std::vector<std::string>{"cat", "dog"});
  CHECK(halves.train->image_shape() == Shape{8, 8, 1});
  CHECK(halves.validation == nullptr);
  CHECK(halves.skipped.empty());
  CHECK(levels(*halves.train) == std::vector<int>{1, 101, 2, 102, 3, 103, 4, 104, 5, 105});
  CHECK(levels(*halves.test) == std::vector<int>{6, 106, 7, 107, 8, 9, 10});
  CHECK(halves.test->label(1) == 1);
  CHECK(halves.test->label(6) == 0);
}

TEST_CASE("folder: without a number given, the test set is above four fifths of the highest") {
  const TemporaryFolder root;
  put_numbered(root, 10, 10);
  const Named data = open_folder(root.path(), kSmall);
  CHECK(levels(*data.test) == std::vector<int>{9, 109, 10, 110});
  CHECK(data.train->size() == 16);
}

TEST_CASE("folder: other names are split 70/20/10 in each class, by the seed only") {
  const TemporaryFolder root;
  for (int i = 0; i < 50; ++i) put_file(root / fmt::format("cat/cat.{}.png", i), photo(i));
  for (int i = 0; i < 20; ++i) put_file(root / fmt::format("dog/dog.{}.png", i), photo(100 + i));
  const Named data = open_folder(root.path(), kSmall);
  CHECK(data.train->size() == 35 + 14);
  REQUIRE(data.validation != nullptr);
  CHECK(data.validation->size() == 10 + 4);
  CHECK(data.test->size() == 5 + 2);
  std::set<int> all;
  for (const DatasetPtr& part : {data.train, data.validation, data.test})
    for (const int level : levels(*part)) all.insert(level);
  CHECK(all.size() == 70);
  CHECK(levels(*open_folder(root.path(), kSmall).test) == levels(*data.test));
  FolderOptions other = kSmall;
  other.seed = 1;
  CHECK(levels(*open_folder(root.path(), other).train) != levels(*data.train));
}

TEST_CASE("folder: a limit holds for each class and part") {
  const TemporaryFolder root;
  put_numbered(root, 10, 10);
  FolderOptions options = kSmall;
  options.limit = 2;
  const Named data = open_folder(root.path(), options);
  CHECK(levels(*data.train) == std::vector<int>{1, 101, 2, 102});
  CHECK(levels(*data.test) == std::vector<int>{9, 109, 10, 110});
  options.limit = 1;
  CHECK(levels(*open_folder(root.path(), options).test) == std::vector<int>{9, 109});
}

TEST_CASE("folder: files that cannot be read are left out, with their names and reasons") {
  const TemporaryFolder root;
  put_numbered(root, 10, 10);
  put_file(root / "cat/00002.png", "");
  put_file(root / "dog/00010.png", "text, not an image");
  put_file(root / "dog/Thumbs.db", "x");
  put_file(root / "dog/.hidden", "x");
  put_file(root / ".git/config", "x");
  std::filesystem::create_directories(root / "cat/more.png");
  const Named data = open_folder(root.path(), kSmall);
  CHECK(data.train->size() == 15);
  CHECK(levels(*data.test) == std::vector<int>{9, 109, 10});
  std::vector<std::string> skipped;
  for (const SkippedFile& file : data.skipped) skipped.push_back(file.name + " | " + file.reason);
  CHECK(skipped ==
        std::vector<std::string>{"cat/more.png | not a regular file",
                                 "dog/Thumbs.db | its name does not end in .jpg, .jpeg, .png or .bmp",
                                 "cat/00002.png | the file is empty, expected a picture",
                                 "dog/00010.png | not a PNG, JPEG or BMP picture"});
  FolderOptions strict = kSmall;
  strict.strict = true;
  CHECK_ERROR(open_folder(root.path(), strict), "4 files cannot be read: cat/more.png: not a regular file; ");
}

TEST_CASE("folder: what is no data set of photos is an error") {
  const TemporaryFolder root;
  CHECK_ERROR(open_folder(root / "nowhere", kSmall), "nowhere: No such file or directory");
  CHECK_ERROR(open_folder(root.path(), kSmall), "0 sub-folders, expected one for each class, at least 2");
  put_file(root / "cat/1.png", photo(1));
  CHECK_ERROR(open_folder(root.path(), kSmall), "1 sub-folders, expected one for each class");
  std::filesystem::create_directories(root / "dog");
  CHECK_ERROR(open_folder(root.path(), kSmall), "class cat has no photo to train on");
  for (int i = 1; i <= 5; ++i) put_file(root / fmt::format("cat/{}.png", i), photo(i));
  CHECK_ERROR(open_folder(root.path(), kSmall), "class dog has no photo to train on");
  put_file(root / "dog/1.png", photo(1));
  put_file(root / "dog/5.png", "junk");
  CHECK_ERROR(open_folder(root.path(), kSmall),
              "class dog has no photo to test on (skipped: dog/5.png: not a PNG, JPEG or BMP picture)");
}

TEST_CASE("folder: options out of range are refused") {
  const TemporaryFolder root;
  put_numbered(root, 10, 10);
  CHECK_ERROR(open_folder(root.path(), {.image = {8, 8}}),
              "images of shape [8,8], expected [H,W,C] with C 1 or 3");
  CHECK_ERROR(open_folder(root.path(), {.image = {8, 8, 2}}), "shape [8,8,2]");
  CHECK_ERROR(open_folder(root.path(), {.image = {8, 8, 1}, .test_above = -1}), "above number -1");
  CHECK_ERROR(open_folder(root.path(), {.image = {8, 8, 1}, .limit = -1}), "at most -1 photos");
}

TEST_CASE("folder: photos are the same with and without room in the cache, and for any number of threads") {
  const TemporaryFolder root;
  for (int i = 1; i <= 10; ++i)
    for (const char* name : {"cat", "dog"}) {
      const Size size{20 + i, 15};
      put_file(root / fmt::format("{}/{}.png", name, i), png(size, pattern(size, 3)));
    }
  const auto all = [](const Named& data) {
    std::vector<float> values(static_cast<std::size_t>(data.train->size() * 8 * 8 * 3));
    std::vector<std::int64_t> indices(static_cast<std::size_t>(data.train->size()));
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    data.train->read_batch(indices, values, Rng(0));
    return values;
  };
  FolderOptions options{.image = {8, 8, 3}};
  const std::vector<float> cached = all(open_folder(root.path(), options));
  options.cache_bytes = 5 * 8 * 8 * 3;  // five of sixteen
  const Threads scope(3);
  const Named partly = open_folder(root.path(), options);
  CHECK(all(partly) == cached);
  CHECK(std::all_of(cached.begin(), cached.end(), [](float v) { return v >= 0 && v <= 1; }));
  // What is not kept is read again: a photo that is gone by then is an error that names it.
  std::filesystem::remove(root / "dog/8.png");
  CHECK_ERROR(all(partly), "dog/8.png: No such file or directory");
}

TEST_CASE("folder: open() finds folders of photos beside those of IDX files") {
  const TemporaryFolder root;
  for (int i = 1; i <= 5; ++i)
    for (const char* name : {"cat", "dog"}) put_file(root / fmt::format("pets/{}/{}.png", name, i), photo(i));
  const Named data = open("pets", root.path(), kSmall);
  CHECK(data.name == "pets");
  CHECK_FALSE(data.generated);
  CHECK(data.train->size() == 8);
  CHECK(open("pets", root.path()).train->image_shape() == Shape{224, 224, 3});
  std::filesystem::create_directories(root / "empty/sub");
  CHECK_ERROR(open("empty", root.path()), "train-images-idx3-ubyte.gz, nor sub-folders of photos");
}

TEST_CASE("folder: awkward files of many programs, in folders") {
  const char* root = std::getenv("LATHE_DATA");
  if (root == nullptr || !std::filesystem::exists(std::filesystem::path(root) / "cats_vs_dogs_originals")) {
    MESSAGE("skipped: LATHE_DATA names no folder with cats_vs_dogs_originals/");
    return;
  }
  const std::filesystem::path folder = std::filesystem::path(root) / "cats_vs_dogs_originals";
  const FolderContent content = list_folder(folder);
  CHECK(content.classes ==
        std::vector<std::string>{"corrupt", "decoder_misc", "derived", "kaggle", "petimages_sample"});
  CHECK(content.photos.size() == 56);
  CHECK_ERROR(open_folder(folder, {.image = {32, 32, 3}, .strict = true}), "12 files cannot be read: ");
  // Put together so that no class is left without a photo.
  const TemporaryFolder classes;
  for (const auto& [from, to] : {std::pair{"corrupt", "misc"}, std::pair{"decoder_misc", "misc"},
                                 std::pair{"derived", "photos"}, std::pair{"kaggle", "photos"}})
    std::filesystem::copy(folder / from, classes / to, std::filesystem::copy_options::recursive);
  const Named data = open_folder(classes.path(), {.image = {32, 32, 3}, .seed = 3});
  std::set<std::string> skipped;
  for (const SkippedFile& file : data.skipped) skipped.insert(file.name);
  CHECK(skipped == std::set<std::string>{"misc/bitflips_scan.jpg", "misc/empty.jpg", "misc/gif_named_jpg.jpg",
                                         "misc/hopper_bad_exif.jpg", "misc/huge_dimensions_header.jpg",
                                         "misc/jpeg_ff00_header.jpg", "misc/missing_eoi.jpg",
                                         "misc/text_not_image.jpg", "misc/truncated_half.jpg",
                                         "misc/truncated_in_header.jpg", "misc/truncated_jpeg.jpg",
                                         "photos/dog1_arithmetic.jpg"});
  CHECK(data.train->size() + data.validation->size() + data.test->size() == 52 - 12);
}

TEST_CASE("folder: the real photos of cats and dogs") {
  const char* root = std::getenv("LATHE_DATA");
  if (root == nullptr || !std::filesystem::exists(std::filesystem::path(root) / "cats_vs_dogs")) {
    MESSAGE("skipped: LATHE_DATA names no folder with cats_vs_dogs/");
    return;
  }
  const Named data = open("cats_vs_dogs", root, {.image = {16, 16, 3}, .limit = 20});
  CHECK(data.train->size() == 40);
  CHECK(data.test->size() == 40);
  CHECK(data.skipped.empty());
  const auto entries = list(root);
  const auto entry = std::find_if(entries.begin(), entries.end(),
                                  [](const Listing& listing) { return listing.name == "cats_vs_dogs"; });
  REQUIRE(entry != entries.end());
  CHECK(entry->about == "8000 training and 1700 test photos, 2 classes: cat, dog");
}

TEST_CASE("folder: decoded photos in a file are the same, and are used until something changes") {
  const TemporaryFolder root, cache;
  put_numbered(root, 10, 10);
  put_file(root / "cat/00003.png", "no picture");
  const Named plain = open_folder(root.path(), kSmall);
  FolderOptions options = kSmall;
  options.cache = cache.path() / "decoded";
  const auto check_equal = [&](const Named& data) {
    CHECK(levels(*data.train) == levels(*plain.train));
    CHECK(levels(*data.test) == levels(*plain.test));
    REQUIRE(data.skipped.size() == 1);
    CHECK(data.skipped[0].name == plain.skipped[0].name);
    CHECK(data.skipped[0].reason == plain.skipped[0].reason);
  };
  check_equal(open_folder(root.path(), options));
  const auto file = options.cache / (root.path().filename().string() + "-train-8x8x1.photos");
  REQUIRE(std::filesystem::exists(file));

  // Other bytes, but the same size and time: nothing is decoded, the file is used.
  const auto photo = root / "dog/00001.png";
  const auto time = std::filesystem::last_write_time(photo);
  const std::string before = text_of(photo);
  put_file(photo, std::string(before.size(), 'x'));
  std::filesystem::last_write_time(photo, time);
  check_equal(open_folder(root.path(), options));
  // Another time: it is looked at again.
  std::filesystem::last_write_time(photo, time + std::chrono::seconds(1));
  CHECK(open_folder(root.path(), options).skipped.size() == 2);
  put_file(photo, before);
  std::filesystem::last_write_time(photo, time);
  check_equal(open_folder(root.path(), options));

  const std::string whole = text_of(file);
  for (const std::string& damaged : {std::string(), whole.substr(0, whole.size() - 1), whole.substr(1),
                                     whole + "x", std::string(whole.size(), 'x')}) {
    put_file(file, damaged);
    check_equal(open_folder(root.path(), options));
    CHECK(text_of(file) == whole);
  }
  options.cache = root / "cat/00001.png";
  CHECK_ERROR(open_folder(root.path(), options), "00001.png");
}
