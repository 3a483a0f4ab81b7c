#include <doctest/doctest.h>

#include <lathe/datasets/dataset.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "idx_files.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

/// Image i is [i, 10 i]; its label is i % 3.
class Counting : public Dataset {
 public:
  explicit Counting(std::int64_t size) : size_(size) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {1, 2, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index % 3); }
  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    out[0] = static_cast<float>(index);
    out[1] = static_cast<float>(10 * index);
  }

 private:
  std::int64_t size_;
  std::vector<std::string> classes_{"a", "b", "c"};
};

DatasetPtr counting(std::int64_t size) { return std::make_shared<Counting>(size); }

std::vector<float> read_all(const DatasetPtr& data, const Rng& rng = Rng(0)) {
  std::vector<float> out(static_cast<std::size_t>(data->size() * data->image_shape().size()));
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < data->size(); ++i) indices.push_back(i);
  data->read_batch(indices, out, rng);
  return out;
}

/// Which samples of a counting set a part of it holds.
std::vector<int> members(const DatasetPtr& part) {
  const std::vector<float> values = read_all(part);
  std::vector<int> result;
  for (std::size_t i = 0; i < values.size(); i += 2) result.push_back(static_cast<int>(values[i]));
  return result;
}

/// Sets an environment variable for a scope.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    const char* old = std::getenv(name);
    had_ = old != nullptr;
    if (had_) old_ = old;
    if (value != nullptr)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  }
  ~Environment() {
    if (had_)
      ::setenv(name_, old_.c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  bool had_;
  std::string old_;
};

}  // namespace

TEST_CASE("subset and take address the samples of their source") {
  const DatasetPtr part = subset(counting(10), {7, 2, 2});
  CHECK(part->size() == 3);
  CHECK(members(part) == std::vector<int>{7, 2, 2});
  CHECK(part->label(0) == 1);
  CHECK(part->classes().size() == 3);
  CHECK(members(take(counting(10), 3)) == std::vector<int>{0, 1, 2});
  CHECK(take(counting(10), 99)->size() == 10);
  CHECK_ERROR(subset(counting(10), {3, 10}), "subset: index 10 is outside a data set of 10 samples");
  CHECK_ERROR(subset(counting(10), {-1}), "subset: index -1 is outside");
  CHECK_ERROR(take(counting(10), -1), "take: -1 samples, expected at least 0");
}

TEST_CASE("split: parts are disjoint, complete, in order and depend on the seed only") {
  const auto [rest, held_out] = split(counting(100), 0.2, 5);
  const std::vector<int> a = members(rest), b = members(held_out);
  CHECK(a.size() == 80);
  CHECK(b.size() == 20);
  CHECK(std::is_sorted(a.begin(), a.end()));
  CHECK(std::is_sorted(b.begin(), b.end()));
  std::set<int> all(a.begin(), a.end());
  all.insert(b.begin(), b.end());
  CHECK(all.size() == 100);
  CHECK(members(split(counting(100), 0.2, 5).second) == b);
  CHECK(members(split(counting(100), 0.2, 6).second) != b);
  CHECK(b.front() < 30);  // not a block of the end or the beginning
  CHECK(b.back() > 70);
}

TEST_CASE("split: shares that make no sense are refused") {
  CHECK_ERROR(split(counting(100), 1.0, 0),
              "split: share 1 is out of range, expected at least 0 and less than 1");
  CHECK_ERROR(split(counting(100), -0.1, 0), "share -0.1 is out of range");
  CHECK_ERROR(split(counting(100), 0.0 / 0.0, 0), "out of range");
  CHECK_ERROR(split(counting(100), 0.0, 0), "a share of 0 of 100 samples leaves one part empty");
  CHECK_ERROR(split(counting(3), 0.99, 0), "leaves one part empty");
}

TEST_CASE("map: a transform draws by epoch and image, however the image is read") {
  const auto noisy = [](std::span<float> image, const Shape& shape, Rng rng) {
    CHECK(shape == Shape{1, 2, 1});
    image[1] = rng.uniform();
  };
  const DatasetPtr once = map(counting(20), noisy);
  const Rng epoch1 = Rng(1).split(std::uint64_t{1}), epoch2 = Rng(1).split(std::uint64_t{2});
  const std::vector<float> all = read_all(once, epoch1);
  CHECK(read_all(once, epoch1) == all);
  CHECK(read_all(once, epoch2) != all);
  std::set<float> different;
  for (std::int64_t i = 0; i < 20; ++i) {
    float one[2];
    once->read(i, one, epoch1);
    CHECK(one[0] == static_cast<float>(i));
    CHECK(one[1] == all[static_cast<std::size_t>(2 * i + 1)]);
    different.insert(one[1]);
  }
  CHECK(different.size() == 20);
  CHECK_ERROR(map(counting(3), nullptr), "map: the transform is empty");
}

TEST_CASE("map of a map draws different numbers in both") {
  const auto draw = [](std::size_t to) {
    return [to](std::span<float> image, const Shape&, Rng rng) { image[to] = rng.uniform(); };
  };
  const DatasetPtr twice = map(map(counting(5), draw(0)), draw(1));
  const std::vector<float> all = read_all(twice);
  for (std::size_t i = 0; i < all.size(); i += 2) CHECK(all[i] != all[i + 1]);
}

TEST_CASE("data_root: argument, then LATHE_DATA, then ./data") {
  {
    const Environment variable("LATHE_DATA", "/elsewhere");
    CHECK(data_root("/here") == "/here");
    CHECK(data_root() == "/elsewhere");
  }
  const Environment empty("LATHE_DATA", "");
  CHECK(data_root() == "./data");
  const Environment none("LATHE_DATA", nullptr);
  CHECK(data_root() == "./data");
}

TEST_CASE("open: any folder with the four files, in each spelling, gzipped or not") {
  const TemporaryFolder root;
  put_data_set(root / "fashion-mnist", 30, 20, 5, 4);
  const Named data = open("fashion-mnist", root.path());
  CHECK(data.name == "fashion-mnist");
  CHECK(data.train->size() == 30);
  CHECK(data.test->size() == 20);
  CHECK(data.train->image_shape() == Shape{5, 4, 1});
  CHECK_FALSE(data.generated);

  put_file(root / "dotted/train-images.idx3-ubyte", idx_images(7, 2, 2));
  put_file(root / "dotted/train-labels.idx1-ubyte.gz", gzip(idx_labels(7)));
  put_file(root / "dotted/t10k-images-idx3-ubyte.gz", gzip(idx_images(3, 2, 2)));
  put_file(root / "dotted/t10k-labels.idx1-ubyte", idx_labels(3));
  CHECK(open("dotted", root.path()).train->size() == 7);
}

TEST_CASE("open: a missing folder or file says where it looked and what to do") {
  const TemporaryFolder root;
  for (const char* part : {"data set mnist: there is no folder ", "/mnist (", "`lathe data fetch mnist`",
                           "--data DIR", "LATHE_DATA", "synthetic-digits"}) {
    CHECK_ERROR(open("mnist", root.path()), part);
  }
  CHECK_ERROR(open("mnist", root / "nowhere"), "there is no folder");
  CHECK_ERROR(open("", root.path()), "the name is empty");
  put_data_set(root / "partial");
  std::filesystem::remove(root / "partial/t10k-labels-idx1-ubyte");
  CHECK_ERROR(open("partial", root.path()),
              "partial holds neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz");
  put_data_set(root / "unequal", 5, 5, 3, 3);
  put_file(root / "unequal/t10k-images-idx3-ubyte", idx_images(5, 3, 4));
  CHECK_ERROR(open("unequal", root.path()), "training images are [3,3,1], test images are [3,4,1]");
  std::filesystem::create_directories(root / "folder");
  put_data_set(root / "folder");
  std::filesystem::remove(root / "folder/train-images-idx3-ubyte");
  std::filesystem::create_directories(root / "folder/train-images-idx3-ubyte");
  CHECK_ERROR(open("folder", root.path()), "train-images-idx3-ubyte: not a regular file");
}

TEST_CASE("list: usable sets, damaged ones with the reason, and the generated one") {
  const TemporaryFolder root;
  put_data_set(root / "b-good");
  put_data_set(root / "a-bad");
  put_file(root / "a-bad/t10k-labels-idx1-ubyte", "junk");
  std::filesystem::create_directories(root / "pictures");
  put_file(root / "a-file", "x");
  for (const char* photo : {"cat/1.jpg", "cat/2.jpg", "cat/3.jpg", "cat/4.jpg", "cat/5.jpg", "dog/1.jpg"})
    put_file(root / "c-photos" / photo, "not looked at");
  put_file(root / "d-photos/cat/1.jpg", "not looked at");
  const std::vector<Listing> all = list(root.path());
  REQUIRE(all.size() == 6);
  CHECK(all[0].name == "a-bad");
  CHECK_FALSE(all[0].usable);
  CHECK(all[0].about.find("not an IDX file") != std::string::npos);
  CHECK(all[1].name == "b-good");
  CHECK(all[1].usable);
  CHECK(all[1].about == "30 training and 20 test images, 5x4x1, 10 classes");
  CHECK(all[2].name == "c-photos");
  CHECK(all[2].usable);
  CHECK(all[2].about == "5 training and 1 test photos, 2 classes: cat, dog");
  CHECK(all[3].name == "d-photos");
  CHECK_FALSE(all[3].usable);
  CHECK(all[3].about.find("1 sub-folders, expected one for each class, at least 2") != std::string::npos);
  CHECK(all[4].name == "synthetic-digits");
  CHECK(all[4].about == "60000 training and 10000 test images, 28x28x1, 10 classes, generated");
  CHECK(all[5].name == "synthetic-shapes");
  CHECK(list(root / "nowhere").size() == 2);
}

TEST_CASE("open: the real MNIST") {
  const char* root = std::getenv("LATHE_DATA");
  if (root == nullptr || !std::filesystem::exists(std::filesystem::path(root) / "mnist")) {
    MESSAGE("skipped: LATHE_DATA names no folder with mnist/");
    return;
  }
  const Named data = open("mnist", root);
  CHECK(data.train->size() == 60000);
  CHECK(data.test->size() == 10000);
  CHECK(data.train->image_shape() == Shape{28, 28, 1});
  const std::int32_t first[] = {5, 0, 4, 1, 9, 2, 1, 3, 1, 4};
  for (std::int64_t i = 0; i < 10; ++i) CHECK(data.train->label(i) == first[i]);
  std::vector<float> pixels(784);
  data.train->read(0, pixels, Rng(0));
  CHECK(pixels[5 * 28 + 12] == 3 * (1.0f / 255.0f));
  double sum = 0;
  for (const float value : read_all(data.train)) sum += value;
  CHECK(sum / (60000.0 * 784) == doctest::Approx(0.1307).epsilon(0.001));
}
