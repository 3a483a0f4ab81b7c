#include <doctest/doctest.h>

#include <lathe/datasets/loader.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "support/errors.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

/// Image i is [i, noise]; its label is i % 7. Reading takes a while that differs from image to image; image
/// `bad` cannot be read.
class Slow : public Dataset {
 public:
  explicit Slow(std::int64_t size, std::int64_t bad = -1) : size_(size), bad_(bad) {}
  std::int64_t size() const override { return size_; }
  Shape image_shape() const override { return {2, 1, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index % 7); }
  void read(std::int64_t index, std::span<float> out, const Rng& rng) const override {
    ++reads;
    check(index != bad_, "cannot read image-{}.jpg", index);
    std::this_thread::sleep_for(std::chrono::microseconds((index * 37) % 50));
    out[0] = static_cast<float>(index);
    out[1] = rng.split(static_cast<std::uint64_t>(index)).uniform();
  }

  mutable std::atomic<int> reads{0};

 private:
  std::int64_t size_;
  std::int64_t bad_;
  std::vector<std::string> classes_{"a", "b", "c", "d", "e", "f", "g"};
};

DatasetPtr slow(std::int64_t size, std::int64_t bad = -1) { return std::make_shared<Slow>(size, bad); }

/// All that an epoch gives, one after another: image values and labels.
std::vector<float> flatten(DataLoader::Epoch epoch) {
  std::vector<float> all;
  while (const auto batch = epoch.next()) {
    const auto images = batch->images.span<float>();
    all.insert(all.end(), images.begin(), images.end());
    const auto labels = batch->labels.span<std::int32_t>();
    all.insert(all.end(), labels.begin(), labels.end());
  }
  return all;
}

/// The samples in the order an epoch gives them.
std::vector<int> order(const DataLoader& loader, std::int64_t number, std::int64_t first = 0) {
  std::vector<int> samples;
  auto epoch = loader.epoch(number, first);
  while (const auto batch = epoch.next()) {
    const auto images = batch->images.span<float>();
    for (std::size_t i = 0; i < images.size(); i += 2) samples.push_back(static_cast<int>(images[i]));
  }
  return samples;
}

}  // namespace

TEST_CASE("loader: batches in order, the last one smaller or left out") {
  const DataLoader loader(slow(10), {.batch = 4});
  CHECK(loader.batches() == 3);
  auto epoch = loader.epoch(0);
  auto batch = epoch.next();
  REQUIRE(batch.has_value());
  CHECK(batch->size() == 4);
  CHECK(batch->images.shape() == Shape{4, 2, 1, 1});
  CHECK(batch->labels.dtype() == Dtype::i32);
  CHECK(batch->images.span<float>()[2] == 1.0f);
  CHECK(batch->labels.span<std::int32_t>()[3] == 3);
  epoch.next();
  batch = epoch.next();
  CHECK(batch->images.shape() == Shape{2, 2, 1, 1});
  CHECK(batch->labels.span<std::int32_t>()[1] == 9 % 7);
  CHECK_FALSE(epoch.next().has_value());
  CHECK_FALSE(epoch.next().has_value());

  const DataLoader full(slow(10), {.batch = 4, .drop_last = true});
  CHECK(full.batches() == 2);
  CHECK(order(full, 0) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(DataLoader(slow(8), {.batch = 4, .drop_last = true}).batches() == 2);
  CHECK(DataLoader(slow(8), {.batch = 4}).batches() == 2);
}

TEST_CASE("loader: a shuffled order holds every sample once and depends on seed and epoch only") {
  const DataLoader loader(slow(50), {.batch = 8, .shuffle = true, .seed = 3});
  const std::vector<int> first = order(loader, 0);
  CHECK(std::set<int>(first.begin(), first.end()).size() == 50);
  CHECK_FALSE(std::is_sorted(first.begin(), first.end()));
  CHECK(order(loader, 1) != first);
  CHECK(order(loader, 0) == first);
  CHECK(order(DataLoader(slow(50), {.batch = 5, .shuffle = true, .seed = 3}), 0) == first);
  CHECK(order(DataLoader(slow(50), {.batch = 8, .shuffle = true, .seed = 4}), 0) != first);
}

TEST_CASE("loader: the shuffled order is part of what reproduces a training run") {
  const DataLoader loader(slow(10), {.batch = 10, .shuffle = true, .seed = 1});
  CHECK(order(loader, 0) == std::vector<int>{9, 6, 2, 5, 4, 8, 3, 0, 1, 7});
  CHECK(order(loader, 1) == std::vector<int>{1, 7, 8, 2, 3, 9, 0, 6, 4, 5});
}

TEST_CASE("loader: every sample comes to every place about equally often") {
  const DataLoader loader(slow(4), {.batch = 4, .shuffle = true, .seed = 1});
  int counts[4][4] = {};
  for (int epoch = 0; epoch < 800; ++epoch) {
    const std::vector<int> samples = order(loader, epoch);
    for (std::size_t place = 0; place < 4; ++place) ++counts[place][samples[place]];
  }
  for (const auto& place : counts) {
    for (const int count : place) {
      CHECK(count > 140);  // 200 expected, deviation 12
      CHECK(count < 260);
    }
  }
}

TEST_CASE("loader: workers give the same bytes in the same order as none") {
  for (const std::int64_t epoch : {0, 5}) {
    const std::vector<float> expected =
        flatten(DataLoader(slow(103), {.batch = 8, .shuffle = true, .seed = 9}).epoch(epoch));
    for (const int workers : {1, 2, 5}) {
      for (const int prefetch : {1, 3}) {
        const DataLoader loader(
            slow(103), {.batch = 8, .shuffle = true, .seed = 9, .workers = workers, .prefetch = prefetch});
        CHECK(flatten(loader.epoch(epoch)) == expected);
      }
    }
  }
}

TEST_CASE("loader: starting in the middle gives the rest of the epoch") {
  for (const int workers : {0, 2}) {
    const DataLoader loader(slow(50), {.batch = 8, .shuffle = true, .seed = 3, .workers = workers});
    const std::vector<float> all = flatten(loader.epoch(2));
    const std::vector<float> rest = flatten(loader.epoch(2, 4));
    CHECK(rest.size() == 18 * 3);
    CHECK(std::equal(rest.rbegin(), rest.rend(), all.rbegin()));
    CHECK(flatten(loader.epoch(2, 7)).empty());
    CHECK_ERROR(loader.epoch(2, 8), "data loader: batch 8 is out of range, an epoch has 7");
    CHECK_ERROR(loader.epoch(2, -1), "batch -1 is out of range");
  }
}

TEST_CASE("loader: an epoch that is dropped early stops its workers") {
  const auto data = std::make_shared<Slow>(10'000);
  const DataLoader loader(data, {.batch = 4, .workers = 3, .prefetch = 2});
  { const auto unused = loader.epoch(0); }
  {
    auto epoch = loader.epoch(0);
    epoch.next();
    const auto moved = std::move(epoch);
  }
  CHECK(data->reads <= 4 * (6 + 7 + 3));  // no more than fits: 6 batches ahead, twice, and what was under way
}

TEST_CASE("loader: an unreadable sample is an error of its batch, with any number of workers") {
  for (const int workers : {0, 1, 3}) {
    const DataLoader loader(slow(20, 9), {.batch = 4, .workers = workers});
    auto epoch = loader.epoch(6);
    CHECK(epoch.next()->size() == 4);
    CHECK(epoch.next()->size() == 4);
    CHECK_ERROR(epoch.next(), "data loader: epoch 6, batch 2: cannot read image-9.jpg");
    CHECK(epoch.next()->images.span<float>()[0] == 12.0f);
    CHECK(epoch.next()->size() == 4);
    CHECK_FALSE(epoch.next().has_value());
  }
}

TEST_CASE("loader: options that make no sense are refused") {
  CHECK_ERROR(DataLoader(slow(10), {.batch = 0}), "data loader: batch 0, expected at least 1");
  CHECK_ERROR(DataLoader(slow(10), {.batch = -3}), "batch -3");
  CHECK_ERROR(DataLoader(slow(10), {.workers = -1}), "-1 workers, expected 0..64");
  CHECK_ERROR(DataLoader(slow(10), {.workers = 65}), "65 workers");
  CHECK_ERROR(DataLoader(slow(10), {.workers = 1, .prefetch = 0}), "prefetch 0, expected 1..64");
  CHECK_ERROR(DataLoader(slow(0), {}), "the data set is empty");
  CHECK_ERROR(DataLoader(nullptr, {}), "the data set is empty");
  CHECK_ERROR(DataLoader(slow(10), {.batch = 16, .drop_last = true}), "10 samples do not fill a batch of 16");
  CHECK_ERROR(DataLoader(slow(10), {}).epoch(-1), "epoch -1, expected at least 0");
}
