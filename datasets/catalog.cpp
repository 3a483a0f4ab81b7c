#include <lathe/base/error.h>
#include <lathe/datasets/dataset.h>
#include <lathe/datasets/folder.h>
#include <lathe/datasets/idx.h>
#include <lathe/datasets/synthetic_digits.h>
#include <lathe/datasets/synthetic_shapes.h>

#include "folder_parts.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <system_error>

namespace lathe::datasets {
namespace {

constexpr std::string_view kSyntheticDigits = "synthetic-digits", kSyntheticShapes = "synthetic-shapes";
constexpr std::uint64_t kTrainSeed = 1, kTestSeed = 2;  // of generated sets

/// The name of a file of MNIST and how else it is spelled.
struct FileName {
  std::string_view name;
  std::string_view dotted;
};
constexpr FileName kTrainImages{"train-images-idx3-ubyte", "train-images.idx3-ubyte"};
constexpr FileName kTrainLabels{"train-labels-idx1-ubyte", "train-labels.idx1-ubyte"};
constexpr FileName kTestImages{"t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"};
constexpr FileName kTestLabels{"t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"};
constexpr std::array kAllFiles{kTrainImages, kTrainLabels, kTestImages, kTestLabels};

std::optional<std::filesystem::path> find(const std::filesystem::path& folder, const FileName& file) {
  for (const std::string_view spelling : {file.name, file.dotted}) {
    for (const char* suffix : {"", ".gz"}) {
      std::filesystem::path path = folder / (std::string(spelling) + suffix);
      std::error_code ignored;
      if (std::filesystem::exists(path, ignored)) return path;
    }
  }
  return std::nullopt;
}

bool holds_idx(const std::filesystem::path& folder) {
  return std::any_of(kAllFiles.begin(), kAllFiles.end(),
                     [&](const FileName& file) { return find(folder, file).has_value(); });
}

/// A sub-folder that holds a photo.
bool holds_photos(const std::filesystem::path& folder) {
  std::error_code failed;
  if (!std::filesystem::is_directory(folder, failed)) return false;
  try {
    return !list_folder(folder).photos.empty();
  } catch (const Error&) {
    return false;  // what cannot be looked into
  }
}

std::string how_to_get(std::string_view name) {
  return fmt::format(
      "`lathe data fetch mnist` downloads MNIST; --data DIR or LATHE_DATA=DIR names the folder that holds "
      "{}/; {} and {} are generated and always there",
      name, kSyntheticDigits, kSyntheticShapes);
}

Named open_idx_folder(std::string_view name, const std::filesystem::path& folder) {
  const auto path = [&](const FileName& file) {
    const auto found = find(folder, file);
    check(found.has_value(), "data set {}: {} holds neither {} nor {}.gz, nor sub-folders of photos ({})",
          name, folder.string(), file.name, file.name, how_to_get(name));
    return *found;
  };
  Named result;
  result.name = name;
  const auto train_images = path(kTrainImages), train_labels = path(kTrainLabels);
  const auto test_images = path(kTestImages), test_labels = path(kTestLabels);
  result.test = open_idx(test_images, test_labels);  // the smaller first: mistakes show sooner
  result.train = open_idx(train_images, train_labels);
  check(result.train->image_shape() == result.test->image_shape(),
        "data set {}: training images are {}, test images are {} (in {})", name,
        to_string(result.train->image_shape()), to_string(result.test->image_shape()), folder.string());
  return result;
}

std::string describe(const Named& data) {
  const Shape shape = data.train->image_shape();
  return fmt::format("{} training and {} test images, {}x{}x{}, {} classes{}", data.train->size(),
                     data.test->size(), shape[0], shape[1], shape[2], data.train->classes().size(),
                     data.generated ? ", generated" : "");
}

}  // namespace

Named open(std::string_view name, const std::filesystem::path& root) {
  return open(name, root, FolderOptions{});
}

Named open(std::string_view name, const std::filesystem::path& root, const FolderOptions& options) {
  check(!name.empty(), "data set: the name is empty");
  if (name == kSyntheticDigits) {
    return {std::string(name), synthetic_digits(60'000, kTrainSeed), synthetic_digits(10'000, kTestSeed),
            true};
  }
  if (name == kSyntheticShapes) {
    const auto count = [&](std::int64_t all) {
      return options.limit > 0 ? std::min(all, 2 * options.limit) : all;
    };
    return {std::string(name), synthetic_shapes(count(8'000), kTrainSeed, options.image),
            synthetic_shapes(count(2'000), kTestSeed, options.image), true};
  }
  const std::filesystem::path folder = root / name;
  std::error_code failed;
  const bool there = std::filesystem::is_directory(folder, failed);
  check(there, "data set {}: there is no folder {} ({})", name, folder.string(), how_to_get(name));
  if (!holds_idx(folder) && holds_photos(folder)) {
    Named result = open_folder(folder, options);
    result.name = name;
    return result;
  }
  return open_idx_folder(name, folder);
}

std::filesystem::path data_root(const std::filesystem::path& directory) {
  if (!directory.empty()) return directory;
  const char* variable = std::getenv("LATHE_DATA");
  return variable != nullptr && *variable != '\0' ? variable : "./data";
}

std::vector<Listing> list(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> folders;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(root, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    if (holds_idx(entry->path()) || holds_photos(entry->path())) folders.push_back(entry->path());
  }
  std::sort(folders.begin(), folders.end());

  std::vector<Listing> result;
  for (const std::filesystem::path& folder : folders) {
    Listing& listing = result.emplace_back();
    listing.name = folder.filename().string();
    try {
      if (holds_idx(folder)) {
        listing.about = describe(open_idx_folder(listing.name, folder));
      } else {
        const FolderContent content = list_folder(folder);
        check_classes(folder, content);
        listing.about = describe(content);
      }
      listing.usable = true;
    } catch (const Error& error) {
      listing.about = error.what();
    }
  }
  for (const std::string_view generated : {kSyntheticDigits, kSyntheticShapes})
    result.push_back({std::string(generated), describe(open(generated, root)), true});
  return result;
}

}  // namespace lathe::datasets
