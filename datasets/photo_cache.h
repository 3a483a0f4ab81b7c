#pragma once

#include <lathe/base/io.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace lathe::datasets {

/// What a cache file must be of to be used.
struct PhotoCacheKey {
  std::string content;          ///< describes the photos and how they are decoded
  std::size_t photos = 0;       ///< how many, those that cannot be read included
  std::size_t image_bytes = 0;  ///< of each, decoded
};

/// Decoded photos in a file that is mapped: the system keeps of it in memory what is used and fits.
///
/// The file is the pixels of all photos, one after another (zeros for one that cannot be read), then a text:
/// the key's content and, a line each, why a photo cannot be read; then the text's length (8 bytes, little
/// endian) and "LATHEPH1".
class PhotoCache {
 public:
  /// Null when there is no such file, or it is of other photos, or cut off.
  static std::shared_ptr<const PhotoCache> open(const std::filesystem::path& path, const PhotoCacheKey& key);
  ~PhotoCache();
  PhotoCache(const PhotoCache&) = delete;
  PhotoCache& operator=(const PhotoCache&) = delete;

  std::span<const std::uint8_t> pixels(std::size_t photo) const;
  /// By photo why it cannot be read; empty: it can.
  const std::vector<std::string>& reasons() const { return reasons_; }

 private:
  PhotoCache(const std::byte* data, std::size_t size, std::size_t image_bytes)
      : data_(data), size_(size), image_bytes_(image_bytes) {}
  bool read_end(const PhotoCacheKey& key);

  const std::byte* data_;
  std::size_t size_, image_bytes_;
  std::vector<std::string> reasons_;
};

/// Writes such a file, which appears when it is complete.
class PhotoCacheWriter {
 public:
  /// Throws Error naming the path, as do the others.
  PhotoCacheWriter(const std::filesystem::path& path, PhotoCacheKey key);
  /// The next photo; `pixels` empty: it cannot be read, for this reason.
  void add(std::span<const std::uint8_t> pixels, const std::string& reason);
  void commit();

 private:
  AtomicFile file_;
  PhotoCacheKey key_;
  std::string end_;
};

}  // namespace lathe::datasets
