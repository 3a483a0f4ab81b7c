#pragma once

#include <lathe/base/error.h>

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lathe {

static_assert(std::endian::native == std::endian::little,
              "file formats here are read as little-endian in place");

/// The whole file. Throws Error naming the path when it cannot be read or is larger than `max_bytes`.
std::vector<std::byte> read_file(const std::filesystem::path& path,
                                 std::uint64_t max_bytes = std::uint64_t{1} << 34);

/// A file that appears under its name only when it is complete: bytes go to a temporary file beside it,
/// commit() syncs and renames. Without commit() the temporary file is removed and an older file of the name
/// stays.
class AtomicFile {
 public:
  /// Creates missing parent folders. Throws Error naming the path.
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Throws Error (for example when the disk is full).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Reads little-endian values out of untrusted bytes. Every read is checked; errors name the file and the
/// offset. Borrows the bytes.
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t remaining() const { return bytes_.size() - offset_; }

  template <typename T>
  requires std::is_arithmetic_v<T> T read(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  /// Unsigned LEB128, at most 10 bytes; must be <= max.
  std::uint64_t varint(std::string_view what, std::uint64_t max = ~std::uint64_t{0});
  std::span<const std::byte> take(std::uint64_t count, std::string_view what);
  std::string text(std::uint64_t count, std::string_view what);

  /// Throws Error "NAME: at byte OFFSET: MESSAGE".
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error(
        fmt::format("{}: at byte {}: {}", name_, offset_, fmt::format(format, std::forward<Args>(args)...)));
  }
  template <typename... Args>
  void check(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (!ok) fail(format, std::forward<Args>(args)...);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
  std::uint64_t offset_ = 0;
};

/// Collects little-endian values.
class ByteWriter {
 public:
  template <typename T>
  requires std::is_arithmetic_v<T>
  void write(T value) {
    append(std::as_bytes(std::span(&value, 1)));
  }
  void varint(std::uint64_t value);
  void append(std::span<const std::byte> bytes);
  void text(std::string_view text) { append(std::as_bytes(std::span(text.data(), text.size()))); }

  std::size_t size() const { return bytes_.size(); }
  std::vector<std::byte>& bytes() & { return bytes_; }
  std::span<const std::byte> view() const& { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace lathe
