#pragma once

#include <lathe/core/tensor.h>
#include <lathe/datasets/dataset.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace lathe::datasets {

/// A part of an epoch.
struct Batch {
  Tensor images;                           ///< [N,H,W,C] f32
  Tensor labels;                           ///< [N] i32
  std::vector<std::int64_t> indices = {};  ///< of the samples in the loader's data set
  Tensor other_labels = {};  ///< [N] i32, of the images that were mixed into these; empty: none were
  float share = 1;           ///< of `labels` in the images; the rest is that of other_labels
  std::int64_t size() const { return labels.size(); }
};

/// Mixes the images of a batch (mix.h).
using Mixing = std::function<void(Batch& batch, Rng rng)>;

/// Cuts a data set into batches. The order depends on (seed, epoch) only.
///
///   DataLoader loader(data.train, {.batch = 128, .shuffle = true, .seed = 1});
///   for (int epoch = 0; epoch < 10; ++epoch) {
///     auto batches = loader.epoch(epoch);
///     while (auto batch = batches.next()) { ... batch->images ... }
///   }
class DataLoader {
 public:
  struct Options {
    std::int64_t batch = 128;
    bool shuffle = false;
    std::uint64_t seed = 0;
    bool drop_last = false;  ///< leave out a last batch that is not full
    int workers = 0;   ///< threads that read ahead; 0 reads in next(), which is best for sets held in memory
    int prefetch = 2;  ///< batches read ahead per worker
    Mixing mix = {};   ///< what is done to each batch; empty: nothing
  };
  /// Throws Error when the set is empty or an option out of range: batch >= 1, workers 0..64, prefetch 1..64.
  DataLoader(DatasetPtr dataset, const Options& options);

  /// The batches of one epoch, the same for any number of workers. Destroying it stops the workers.
  class Epoch {
   public:
    ~Epoch();
    Epoch(Epoch&&) noexcept;
    /// Empty after the last one. Throws Error from reading, with the epoch and the batch in front, when it is
    /// that batch's turn; the call after goes on with the next batch.
    std::optional<Batch> next();

   private:
    friend class DataLoader;
    struct State;
    explicit Epoch(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
  };
  /// Starts at batch `first` (0..batches()), for going on in the middle of an epoch. Throws Error outside the
  /// range.
  Epoch epoch(std::int64_t epoch, std::int64_t first = 0) const;

  std::int64_t batches() const;  ///< in an epoch
  const Dataset& dataset() const { return *dataset_; }
  const Options& options() const { return options_; }

 private:
  DatasetPtr dataset_;
  Options options_;
};

}  // namespace lathe::datasets
