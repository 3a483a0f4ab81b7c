#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/base/parallel.h>
#include <lathe/datasets/folder.h>

#include "byte_images.h"
#include "folder_parts.h"

#include <algorithm>
#include <cassert>
#include <exception>

namespace lathe::datasets {
namespace {

using Photo = FolderContent::Photo;

constexpr std::size_t kMostListed = 20;

/// Photos of one size: decoded once, kept as bytes as far as the cache goes.
class Photos : public Dataset {
 public:
  Photos(std::vector<Photo> photos, std::vector<std::string> classes, const FolderOptions& options)
      : photos_(std::move(photos)),
        classes_(std::move(classes)),
        options_(options),
        pixels_(photos_.size()) {}

  /// Decodes all, keeps as many as fit into `cache_bytes`, which it lowers by what it took, and takes out
  /// what cannot be read.
  std::vector<SkippedFile> load(std::uint64_t& cache_bytes) {
    const auto image_bytes = static_cast<std::uint64_t>(options_.image.size());
    const std::uint64_t kept = std::min<std::uint64_t>(cache_bytes / image_bytes, photos_.size());
    cache_bytes -= kept * image_bytes;
    std::vector<std::string> reasons(photos_.size());
    parallel_for(size(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) try {
          std::vector<std::uint8_t> bytes = to_bytes(decode(photos_[i]));
          if (i < kept) pixels_[i] = std::move(bytes);
        } catch (const std::exception& error) {
          reasons[i] = error.what();
        }
    });
    std::vector<SkippedFile> skipped;
    std::size_t good = 0;
    for (std::size_t i = 0; i < photos_.size(); ++i) {
      if (!reasons[i].empty()) {
        skipped.push_back({name(photos_[i]), without_name(reasons[i], photos_[i])});
      } else {
        if (good != i) {
          photos_[good] = std::move(photos_[i]);
          pixels_[good] = std::move(pixels_[i]);
        }
        ++good;
      }
    }
    photos_.resize(good);
    pixels_.resize(good);
    return skipped;
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(photos_.size()); }
  Shape image_shape() const override { return options_.image; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override {
    return photos_[static_cast<std::size_t>(index)].label;
  }

  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    assert(index >= 0 && index < size());
    const auto i = static_cast<std::size_t>(index);
    const std::vector<std::uint8_t> decoded =
        pixels_[i].empty() ? to_bytes(decode(photos_[i])) : std::vector<std::uint8_t>{};
    const std::uint8_t* from = decoded.empty() ? pixels_[i].data() : decoded.data();
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<float>(from[k]) * kPixelScale;
  }

  std::vector<std::int64_t> count_classes() const {
    std::vector<std::int64_t> counts(classes_.size());
    for (const Photo& photo : photos_) ++counts[static_cast<std::size_t>(photo.label)];
    return counts;
  }

 private:
  Tensor decode(const Photo& photo) const {
    return read_image(photo.path, options_.image, {.fit = options_.fit});
  }

  /// The same bytes whether they are kept or made anew.
  static std::vector<std::uint8_t> to_bytes(const Tensor& image) {
    const auto values = image.span<float>();
    std::vector<std::uint8_t> bytes(values.size());
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(values[i] * 255.0f + 0.5f);
    return bytes;
  }

  std::string name(const Photo& photo) const {
    return classes_[static_cast<std::size_t>(photo.label)] + "/" + photo.path.filename().string();
  }
  static std::string without_name(const std::string& reason, const Photo& photo) {
    const std::string prefix = photo.path.string() + ": ";
    return reason.starts_with(prefix) ? reason.substr(prefix.size()) : reason;
  }

  std::vector<Photo> photos_;
  std::vector<std::string> classes_;
  FolderOptions options_;
  std::vector<std::vector<std::uint8_t>> pixels_;  ///< empty: not kept
};

std::string list_of(const std::vector<SkippedFile>& skipped) {
  std::string text;
  for (std::size_t i = 0; i < skipped.size() && i < kMostListed; ++i)
    text += fmt::format("{}{}: {}", i == 0 ? "" : "; ", skipped[i].name, skipped[i].reason);
  if (skipped.size() > kMostListed) text += fmt::format("; and {} more", skipped.size() - kMostListed);
  return text;
}

}  // namespace

Named open_folder(const std::filesystem::path& folder, const FolderOptions& options) {
  const Shape& shape = options.image;
  check(shape.rank() == 3 && shape.size() > 0 && (shape[2] == 1 || shape[2] == 3),
        "{}: images of shape {}, expected [H,W,C] with C 1 or 3", folder.string(), to_string(shape));
  check(options.test_above >= 0, "{}: test set above number {}, expected at least 0", folder.string(),
        options.test_above);
  check(options.limit >= 0, "{}: at most {} photos of a class, expected at least 0", folder.string(),
        options.limit);
  FolderContent content = list_folder(folder);
  check_classes(folder, content);
  FolderParts parts = split_folder(content, options);

  Named result;
  result.name = folder.filename().string();
  result.skipped = std::move(content.skipped);
  std::uint64_t cache_bytes = options.cache_bytes;
  const auto load = [&](std::vector<Photo>& photos) {
    auto part = std::make_shared<Photos>(std::move(photos), content.classes, options);
    const std::vector<SkippedFile> skipped = part->load(cache_bytes);
    result.skipped.insert(result.skipped.end(), skipped.begin(), skipped.end());
    return part;
  };
  const auto train = load(parts.train);
  if (!parts.validation.empty()) result.validation = load(parts.validation);
  const auto test = load(parts.test);
  result.train = train;
  result.test = test;

  check(!options.strict || result.skipped.empty(), "{}: {} files cannot be read: {}", folder.string(),
        result.skipped.size(), list_of(result.skipped));
  for (const auto& [part, purpose] : {std::pair{train, "train"}, std::pair{test, "test"}}) {
    const std::vector<std::int64_t> counts = part->count_classes();
    const auto none = std::find(counts.begin(), counts.end(), 0);
    if (none == counts.end()) continue;
    fail("{}: class {} has no photo to {} on{}", folder.string(),
         content.classes[static_cast<std::size_t>(none - counts.begin())], purpose,
         result.skipped.empty() ? "" : " (skipped: " + list_of(result.skipped) + ")");
  }
  return result;
}

}  // namespace lathe::datasets
