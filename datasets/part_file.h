#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace lathe::datasets {

/// The part of a download that is there already. Kept when the object dies, removed when it is empty. Every
/// function throws Error naming the file.
class PartFile {
 public:
  /// Opens or creates it, and locks it against another process that downloads the same file.
  explicit PartFile(std::filesystem::path path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  void append(std::span<const std::byte> bytes);
  void truncate();
  /// Syncs it and gives it its final name; nothing may follow.
  void rename_to(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// SHA-256 of a file as 64 hexadecimal digits.
std::string sha256_of(const std::filesystem::path& path);

}  // namespace lathe::datasets
