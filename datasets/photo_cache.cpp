#include "photo_cache.h"

#include <lathe/base/error.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string_view>

namespace lathe::datasets {
namespace {

constexpr std::string_view kMagic = "LATHEPH1";
constexpr std::size_t kTail = sizeof(std::uint64_t) + kMagic.size();

/// One line, whatever the text.
std::string as_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text + "\n";
}

}  // namespace

std::shared_ptr<const PhotoCache> PhotoCache::open(const std::filesystem::path& path,
                                                   const PhotoCacheKey& key) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  struct stat status {};
  void* data = MAP_FAILED;
  if (::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
    data = ::mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  if (data == MAP_FAILED) return nullptr;
  const std::shared_ptr<PhotoCache> cache(new PhotoCache(
      static_cast<const std::byte*>(data), static_cast<std::size_t>(status.st_size), key.image_bytes));
  return cache->read_end(key) ? cache : nullptr;
}

PhotoCache::~PhotoCache() { ::munmap(const_cast<std::byte*>(data_), size_); }

bool PhotoCache::read_end(const PhotoCacheKey& key) {
  const std::size_t pixels = key.photos * key.image_bytes;
  if (size_ < kTail || size_ - kTail < pixels) return false;
  const std::string_view text(reinterpret_cast<const char*>(data_), size_);
  std::uint64_t length = 0;
  std::memcpy(&length, data_ + size_ - kTail, sizeof(length));
  if (!text.ends_with(kMagic) || length != size_ - kTail - pixels) return false;
  std::string_view lines = text.substr(pixels, length);
  const auto next_line = [&](std::string& line) {
    const std::size_t end = lines.find('\n');
    if (end == std::string_view::npos) return false;
    line = lines.substr(0, end);
    lines.remove_prefix(end + 1);
    return true;
  };
  std::string content;
  if (!next_line(content) || content + "\n" != as_line(key.content)) return false;
  reasons_.resize(key.photos);
  return std::ranges::all_of(reasons_, next_line) && lines.empty();
}

std::span<const std::uint8_t> PhotoCache::pixels(std::size_t photo) const {
  assert(photo < reasons_.size());
  return {reinterpret_cast<const std::uint8_t*>(data_) + photo * image_bytes_, image_bytes_};
}

PhotoCacheWriter::PhotoCacheWriter(const std::filesystem::path& path, PhotoCacheKey key)
    : file_(path), key_(std::move(key)), end_(as_line(key_.content)) {}

void PhotoCacheWriter::add(std::span<const std::uint8_t> pixels, const std::string& reason) {
  assert(pixels.empty() || pixels.size() == key_.image_bytes);
  if (pixels.empty())
    file_.write(std::string(key_.image_bytes, '\0'));
  else
    file_.write(std::as_bytes(pixels));
  end_ += as_line(reason);
}

void PhotoCacheWriter::commit() {
  const auto length = static_cast<std::uint64_t>(end_.size());
  file_.write(end_);
  file_.write(std::as_bytes(std::span(&length, 1)));
  file_.write(kMagic);
  file_.commit();
}

}  // namespace lathe::datasets
