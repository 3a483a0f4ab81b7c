// Images per second of the way of a photo into a batch: decoding, the cache, transforms, the loader's thread.

#include <benchmark/benchmark.h>

#include <lathe/datasets/augment.h>
#include <lathe/datasets/folder.h>
#include <lathe/datasets/loader.h>

#include <cmath>
#include <fstream>

#include "datasets/pictures.h"
#include "support/temporary_folder.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

constexpr std::int64_t kBatch = 16;

/// A folder of JPEG files of 320x224 with smooth shapes, as large as the photos of cats_vs_dogs.
class PhotoFolder {
 public:
  PhotoFolder() {
    const Size size{320, 224};
    for (const char* name : {"a", "b"}) {
      std::filesystem::create_directories(path() / name);
      for (int i = 1; i <= 40; ++i) {
        std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size.width * size.height * 3));
        for (std::size_t k = 0; k < pixels.size(); ++k) {
          const double x = static_cast<double>(k / 3 % 320), y = static_cast<double>(k / 960);
          pixels[k] =
              static_cast<std::uint8_t>(127 + 60 * std::sin(x / (5 + i)) + 60 * std::cos(y * x / 2000 + i));
        }
        std::ofstream(path() / name / (std::to_string(i) + ".jpg"), std::ios::binary) << jpeg(size, pixels);
      }
    }
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

const PhotoFolder& photos() {
  static const PhotoFolder folder;
  return folder;
}

void run_epochs(benchmark::State& state, const DatasetPtr& data, int workers) {
  const DataLoader loader(data, {.batch = kBatch, .shuffle = true, .workers = workers});
  std::int64_t images = 0;
  for (auto _ : state) {
    auto epoch = loader.epoch(0);
    while (auto batch = epoch.next()) images += batch->size();
  }
  state.SetItemsProcessed(images);
}

void decode_photos(benchmark::State& state) {
  run_epochs(state, open_folder(photos().path(), {.cache_bytes = 0}).train, static_cast<int>(state.range(0)));
}
void cached_photos(benchmark::State& state) {
  run_epochs(state, open_folder(photos().path()).train, static_cast<int>(state.range(0)));
}
void augmented_photos(benchmark::State& state) {
  const DatasetPtr data = open_folder(photos().path()).train;
  run_epochs(state, map(map(map(data, random_resized_crop(224, 224)), random_flip()), random_colour()),
             static_cast<int>(state.range(0)));
}

BENCHMARK(decode_photos)->Name("photos/decoded_each_time")->ArgName("workers")->Arg(0)->Arg(2)->UseRealTime();
BENCHMARK(cached_photos)->Name("photos/cached")->ArgName("workers")->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(augmented_photos)
    ->Name("photos/augmented")
    ->ArgName("workers")
    ->Arg(0)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime();

}  // namespace

BENCHMARK_MAIN();
