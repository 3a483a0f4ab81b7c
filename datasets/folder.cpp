#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/base/parallel.h>
#include <lathe/datasets/folder.h>

#include "byte_images.h"
#include "folder_parts.h"
#include "photo_cache.h"

#include <algorithm>
#include <cassert>
#include <exception>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

namespace lathe::datasets {
namespace {

using Photo = FolderContent::Photo;

constexpr std::size_t kMostListed = 20;

/// Photos that are decoded at a time, before they go into a file.
constexpr std::size_t kChunk = 256;

/// Photos of one size: decoded once, kept as bytes, in memory as far as the cache goes or in a mapped file.
class Photos : public Dataset {
 public:
  Photos(std::vector<Photo> photos, std::vector<std::string> classes, const FolderOptions& options)
      : photos_(std::move(photos)), classes_(std::move(classes)), options_(options) {}

  /// Decodes all, keeps as many as fit into `cache_bytes`, which it lowers by what it took, and takes out
  /// what cannot be read.
  std::vector<SkippedFile> load(std::uint64_t& cache_bytes) {
    const std::uint64_t kept = std::min<std::uint64_t>(cache_bytes / image_bytes(), photos_.size());
    cache_bytes -= kept * image_bytes();
    pixels_.resize(photos_.size());
    std::vector<std::string> reasons(photos_.size());
    decode(0, photos_.size(), reasons, [&](std::size_t i, std::vector<std::uint8_t> bytes) {
      if (i < kept) pixels_[i] = std::move(bytes);
    });
    return take_out(reasons);
  }

  /// The same with a file for the pixels.
  std::vector<SkippedFile> load(const std::filesystem::path& path) {
    const PhotoCacheKey key{describe_content(), photos_.size(), image_bytes()};
    file_ = PhotoCache::open(path, key);
    if (file_ == nullptr) {
      PhotoCacheWriter writer(path, key);
      std::vector<std::string> reasons(photos_.size());
      for (std::size_t begin = 0; begin < photos_.size(); begin += kChunk) {
        const std::size_t end = std::min(begin + kChunk, photos_.size());
        std::vector<std::vector<std::uint8_t>> chunk(end - begin);
        decode(begin, end, reasons,
               [&](std::size_t i, std::vector<std::uint8_t> bytes) { chunk[i - begin] = std::move(bytes); });
        for (std::size_t i = begin; i < end; ++i) writer.add(chunk[i - begin], reasons[i]);
      }
      writer.commit();
      file_ = PhotoCache::open(path, key);
      check(file_ != nullptr, "{}: cannot be mapped after it was written", path.string());
    }
    return take_out(file_->reasons());
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
    std::vector<std::uint8_t> decoded;
    std::span<const std::uint8_t> from;
    if (file_ != nullptr) {
      from = file_->pixels(places_[i]);
    } else {
      if (pixels_[i].empty()) decoded = decode(photos_[i]);
      from = pixels_[i].empty() ? decoded : pixels_[i];
    }
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<float>(from[k]) * kPixelScale;
  }

  std::vector<std::int64_t> count_classes() const {
    std::vector<std::int64_t> counts(classes_.size());
    for (const Photo& photo : photos_) ++counts[static_cast<std::size_t>(photo.label)];
    return counts;
  }

 private:
  std::size_t image_bytes() const { return static_cast<std::size_t>(options_.image.size()); }

  /// The same bytes whether they are kept or made anew.
  std::vector<std::uint8_t> decode(const Photo& photo) const {
    const Tensor image = read_image(photo.path, options_.image, {.fit = options_.fit});
    const auto values = image.span<float>();
    std::vector<std::uint8_t> bytes(values.size());
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(values[i] * 255.0f + 0.5f);
    return bytes;
  }

  /// Decodes photos by several threads; keep(place, pixels) may be called for several at once.
  template <typename Keep>
  void decode(std::size_t first, std::size_t last, std::vector<std::string>& reasons,
              const Keep& keep) const {
    parallel_for(static_cast<std::int64_t>(last - first), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = first + static_cast<std::size_t>(begin); i < first + static_cast<std::size_t>(end); ++i)
        try {
          keep(i, decode(photos_[i]));
        } catch (const std::exception& error) {
          reasons[i] = without_name(error.what(), photos_[i]);
        }
    });
  }

  /// Takes out the photos that cannot be read.
  std::vector<SkippedFile> take_out(const std::vector<std::string>& reasons) {
    std::vector<SkippedFile> skipped;
    std::size_t good = 0;
    for (std::size_t i = 0; i < photos_.size(); ++i) {
      if (!reasons[i].empty()) {
        skipped.push_back({name(photos_[i]), reasons[i]});
        continue;
      }
      if (good != i) {
        photos_[good] = std::move(photos_[i]);
        if (!pixels_.empty()) pixels_[good] = std::move(pixels_[i]);
      }
      places_.push_back(i);
      ++good;
    }
    photos_.resize(good);
    if (!pixels_.empty()) pixels_.resize(good);
    return skipped;
  }

  /// Differs when photos, or how they are decoded, do.
  std::string describe_content() const {
    std::string text = fmt::format("{} fit {}:", to_string(options_.image), static_cast<int>(options_.fit));
    for (const Photo& photo : photos_) {
      std::error_code unknown;  // a file that is gone is found when it is read
      const auto bytes = std::filesystem::file_size(photo.path, unknown);
      const auto time = std::filesystem::last_write_time(photo.path, unknown).time_since_epoch().count();
      text += fmt::format("\t{}\t{}\t{}", name(photo), bytes, time);
    }
    return text;
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
  std::vector<std::vector<std::uint8_t>> pixels_;  ///< without a file; empty: not kept
  std::shared_ptr<const PhotoCache> file_;
  std::vector<std::size_t> places_;  ///< of the photos in it
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
  const auto load = [&](std::vector<Photo>& photos, std::string_view name) {
    auto part = std::make_shared<Photos>(std::move(photos), content.classes, options);
    const auto file =
        options.cache / fmt::format("{}-{}-{}x{}x{}.photos", result.name, name, shape[0], shape[1], shape[2]);
    const std::vector<SkippedFile> skipped =
        options.cache.empty() ? part->load(cache_bytes) : part->load(file);
    result.skipped.insert(result.skipped.end(), skipped.begin(), skipped.end());
    return part;
  };
  const auto train = load(parts.train, "train");
  if (!parts.validation.empty()) result.validation = load(parts.validation, "validation");
  const auto test = load(parts.test, "test");
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
