#pragma once

#include <lathe/datasets/dataset.h>
#include <lathe/datasets/image.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::datasets {

/// How a folder of photos becomes a data set.
struct FolderOptions {
  Shape image = {224, 224, 3};                      ///< [H,W,C] of every image, C 1 or 3
  ImageOptions::Fit fit = ImageOptions::Fit::crop;  ///< of a photo into it
  /// Of files whose names are numbers: the test set is what lies above this one. 0: above four fifths of the
  /// highest number there is.
  std::int64_t test_above = 0;
  std::uint64_t seed = 0;  ///< of the split of files with other names
  std::int64_t limit = 0;  ///< read at most so many photos of each class for each part; 0: all
  bool strict = false;     ///< a file that cannot be read is an error instead of being left out
  /// Photos are kept as bytes of the wanted size up to this many, the training set's first; those beyond are
  /// decoded each time they are read.
  std::uint64_t cache_bytes = std::uint64_t{2} << 30;
  /// A folder for files of decoded photos, one for each part, which are mapped and used again as long as the
  /// photos (names, sizes, times) and these options are the same; cache_bytes then does not matter. Empty:
  /// none.
  std::filesystem::path cache = {};
};

/// Opens a folder with one sub-folder of photos (.jpg, .jpeg, .png, .bmp) for each class; classes are in the
/// order of their names, hidden files are not looked at. When all photos have numbers for names, these make
/// the split (FolderOptions::test_above) and there is no validation set; else 70 % of each class train, 20 %
/// validate and 10 % test, at random by seed. In a part the classes take turns.
///
/// All photos are decoded once, by num_threads() threads. Files that cannot be read are left out and listed
/// in Named::skipped with the reason. Throws Error naming the folder: fewer than two classes, a class without
/// photos to train or to test on, an option out of range, and with `strict` a list of the files that cannot
/// be read.
Named open_folder(const std::filesystem::path& folder, const FolderOptions& options = {});

/// open(), with the way to read photos should the name be that of a folder of them.
Named open(std::string_view name, const std::filesystem::path& root, const FolderOptions& options);

/// The photos of a folder before any is decoded.
struct FolderContent {
  struct Photo {
    std::filesystem::path path;
    std::int32_t label = 0;
    std::int64_t number = -1;  ///< its name, if it is a number
  };
  std::vector<std::string> classes;
  std::vector<Photo> photos;         ///< by class, then by name
  std::vector<SkippedFile> skipped;  ///< what is in a class but is no photo by its name
  bool numbered() const;             ///< every name is a number
};

/// Lists a folder. Without a sub-folder the classes are empty. Throws Error naming what cannot be read.
FolderContent list_folder(const std::filesystem::path& folder);

}  // namespace lathe::datasets
