#include <lathe/base/error.h>
#include <lathe/datasets/loader.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

namespace lathe::datasets {
namespace {

/// Fisher-Yates by (seed, epoch).
std::vector<std::int64_t> epoch_order(std::int64_t size, const DataLoader::Options& options,
                                      std::int64_t epoch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (!options.shuffle) return order;
  Rng rng = Rng(options.seed).split("order").split(static_cast<std::uint64_t>(epoch));
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  return order;
}

}  // namespace

struct DataLoader::Epoch::State {
  State(DatasetPtr data, const Options& chosen, std::int64_t number, std::int64_t first,
        std::int64_t batch_count)
      : dataset(std::move(data)),
        options(chosen),
        epoch(number),
        batches(batch_count),
        order(epoch_order(dataset->size(), options, epoch)),
        rng(Rng(options.seed).split("transform").split(static_cast<std::uint64_t>(epoch))),
        given(first),
        claimed(first) {}

  ~State() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    room.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  void start_workers() {
    ring.resize(static_cast<std::size_t>(options.workers) * static_cast<std::size_t>(options.prefetch));
    for (int i = 0; i < options.workers; ++i) threads.emplace_back([this] { work(); });
  }

  /// Batch `index`, made by whoever calls.
  Batch read(std::int64_t index) const {
    const std::int64_t begin = index * options.batch;
    const std::int64_t count = std::min(options.batch, static_cast<std::int64_t>(order.size()) - begin);
    const auto indices =
        std::span(order).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    const Shape image = dataset->image_shape();
    Batch batch{Tensor::empty({count, image[0], image[1], image[2]}), Tensor::empty({count}, Dtype::i32),
                std::vector<std::int64_t>(indices.begin(), indices.end())};
    try {
      dataset->read_batch(indices, batch.images.mutable_span<float>(), rng);
      std::transform(indices.begin(), indices.end(), batch.labels.mutable_span<std::int32_t>().begin(),
                     [this](std::int64_t sample) { return dataset->label(sample); });
      if (options.mix)
        options.mix(batch, Rng(options.seed)
                               .split("mix")
                               .split(static_cast<std::uint64_t>(epoch))
                               .split(static_cast<std::uint64_t>(index)));
    } catch (const Error& error) {
      fail("data loader: epoch {}, batch {}: {}", epoch, index, error.what());
    }
    return batch;
  }

  void work() {
    for (;;) {
      std::int64_t index = 0;
      {
        std::unique_lock lock(mutex);
        room.wait(lock, [this] { return stop || claimed >= batches || claimed < given + ring_size(); });
        if (stop || claimed >= batches) return;
        index = claimed++;
      }
      Slot slot;
      try {
        slot.batch = read(index);
      } catch (...) {
        slot.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        ring[static_cast<std::size_t>(index % ring_size())] = std::move(slot);
      }
      ready.notify_one();
    }
  }

  std::optional<Batch> next() {
    if (given >= batches) return std::nullopt;
    if (threads.empty()) return read(given++);
    Slot slot;
    {
      std::unique_lock lock(mutex);
      Slot& due = ring[static_cast<std::size_t>(given % ring_size())];
      ready.wait(lock, [&] { return due.batch.has_value() || due.error != nullptr; });
      slot = std::exchange(due, Slot{});
      ++given;
    }
    room.notify_one();
    if (slot.error) std::rethrow_exception(slot.error);
    return std::move(slot.batch);
  }

  std::int64_t ring_size() const { return static_cast<std::int64_t>(ring.size()); }

  const DatasetPtr dataset;
  const Options options;
  const std::int64_t epoch;
  const std::int64_t batches;
  const std::vector<std::int64_t> order;
  const Rng rng;

  // Batches given <= index < claimed are read or being read; batch i waits for its turn in ring[i % size].
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr error;
  };
  std::mutex mutex;
  std::condition_variable room;   // for a worker to read another batch
  std::condition_variable ready;  // another batch is
  std::int64_t given;
  std::int64_t claimed;
  bool stop = false;
  std::vector<Slot> ring;
  std::vector<std::thread> threads;
};

DataLoader::Epoch::Epoch(std::unique_ptr<State> state) : state_(std::move(state)) {}
DataLoader::Epoch::Epoch(Epoch&&) noexcept = default;
DataLoader::Epoch::~Epoch() = default;

std::optional<Batch> DataLoader::Epoch::next() { return state_->next(); }

DataLoader::DataLoader(DatasetPtr dataset, const Options& options)
    : dataset_(std::move(dataset)), options_(options) {
  check(options_.batch >= 1, "data loader: batch {}, expected at least 1", options_.batch);
  check(options_.workers >= 0 && options_.workers <= 64, "data loader: {} workers, expected 0..64",
        options_.workers);
  check(options_.prefetch >= 1 && options_.prefetch <= 64, "data loader: prefetch {}, expected 1..64",
        options_.prefetch);
  check(dataset_ != nullptr && dataset_->size() > 0, "data loader: the data set is empty");
  check(batches() > 0, "data loader: {} samples do not fill a batch of {}, and drop_last leaves it out",
        dataset_->size(), options_.batch);
}

std::int64_t DataLoader::batches() const {
  const std::int64_t full = dataset_->size() / options_.batch;
  return full + (!options_.drop_last && dataset_->size() % options_.batch != 0 ? 1 : 0);
}

DataLoader::Epoch DataLoader::epoch(std::int64_t epoch, std::int64_t first) const {
  check(epoch >= 0, "data loader: epoch {}, expected at least 0", epoch);
  check(first >= 0 && first <= batches(), "data loader: batch {} is out of range, an epoch has {}", first,
        batches());
  auto state = std::make_unique<Epoch::State>(dataset_, options_, epoch, first, batches());
  if (options_.workers > 0) state->start_workers();
  return Epoch(std::move(state));
}

}  // namespace lathe::datasets
