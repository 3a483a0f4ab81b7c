#pragma once

#include <lathe/base/random.h>
#include <lathe/base/shape.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lathe::datasets {

/// Labelled images, addressed by index. Reading is const and may happen on several threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  /// [H,W,C] of every image.
  virtual Shape image_shape() const = 0;
  /// The names of the classes; labels are indices into it.
  virtual const std::vector<std::string>& classes() const = 0;

  virtual std::int32_t label(std::int64_t index) const = 0;
  /// Writes image `index` to `out` (image_shape().size() elements). `rng` is for random transforms: it
  /// depends on (seed, epoch) only, and a transform draws from rng.split(index), so an image does not depend
  /// on its batch. Throws Error naming the file that cannot be read.
  virtual void read(std::int64_t index, std::span<float> out, const Rng& rng) const = 0;
  /// Writes the images `indices` one after another to `out`: the same as read() of each, for sets that have a
  /// faster way.
  virtual void read_batch(std::span<const std::int64_t> indices, std::span<float> out, const Rng& rng) const;
};

using DatasetPtr = std::shared_ptr<const Dataset>;

/// The samples `indices` of another data set, in that order. Throws Error on an index outside it.
DatasetPtr subset(DatasetPtr source, std::vector<std::int64_t> indices);

/// The first min(count, size) samples.
DatasetPtr take(DatasetPtr source, std::int64_t count);

/// A data set whose images pass through `transform` as they are read. The transform may run on several
/// threads at once; its generator is that of the image and the epoch.
using Transform = std::function<void(std::span<float> image, const Shape& shape, Rng rng)>;
DatasetPtr map(DatasetPtr source, Transform transform);

/// Splits off `share` (0..1) of the samples at random by seed: {rest, split off}. Both keep the order of the
/// source. Throws Error when share is outside [0,1) or a part would be empty.
std::pair<DatasetPtr, DatasetPtr> split(DatasetPtr source, double share, std::uint64_t seed);

/// A file of a data set that is left out.
struct SkippedFile {
  std::string name;
  std::string reason;
};

/// What a name stands for: training and test set.
struct Named {
  std::string name;
  DatasetPtr train;
  DatasetPtr test;
  bool generated = false;      ///< not real data: every output that shows results says so
  DatasetPtr validation = {};  ///< null: the set has none, who needs one splits it off
  std::vector<SkippedFile> skipped = {};
};

/// Opens a data set by name: `synthetic-digits` is generated (60000 and 10000 images, made when the first one
/// is read), `synthetic-shapes` too (8000 and 2000 pictures of 224x224x3); else a folder `root`/name with the
/// four IDX files of MNIST: {train,t10k}-{images-idx3,labels-idx1}-ubyte, with or without
/// `.gz`, also spelled with a dot before `idx`; or a folder `root`/name with one sub-folder of photos for
/// each class (datasets/folder.h, there too for its options). Throws Error that says where it looked and how
/// to get the data.
Named open(std::string_view name, const std::filesystem::path& root);

/// `directory` if not empty, else $LATHE_DATA, else ./data.
std::filesystem::path data_root(const std::filesystem::path& directory = {});

/// What can be opened: the folders of `root` that hold IDX files or folders of photos, which are counted, not
/// read; and the generated sets.
struct Listing {
  std::string name;
  /// "60000 training and 10000 test images, 28x28x1, 10 classes" or what is wrong with it
  std::string about;
  bool usable = false;
};
std::vector<Listing> list(const std::filesystem::path& root);

}  // namespace lathe::datasets
