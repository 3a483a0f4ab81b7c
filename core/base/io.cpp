#include <lathe/base/io.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

namespace lathe {
namespace {

std::string reason() { return std::strerror(errno); }

/// Closes a descriptor at the end of a scope.
struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor descriptor{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (descriptor.value >= 0) ::fsync(descriptor.value);  // best effort: some file systems refuse it
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(descriptor.value >= 0, "cannot read {}: {}", path.string(), reason());
  struct stat status {};
  check(::fstat(descriptor.value, &status) == 0, "cannot read {}: {}", path.string(), reason());
  check(S_ISREG(status.st_mode), "cannot read {}: not a regular file", path.string());
  const auto size = static_cast<std::uint64_t>(status.st_size);
  check(size <= max_bytes, "cannot read {}: {} bytes, at most {} are expected", path.string(), size,
        max_bytes);
  std::vector<std::byte> bytes(size);
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(descriptor.value, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    check(count >= 0, "cannot read {}: {}", path.string(), reason());
    check(count > 0, "cannot read {}: it ended after {} of {} bytes", path.string(), done, bytes.size());
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code failed;
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path(), failed);
  check(!failed, "cannot write {}: its folder cannot be made: {}", path_.string(), failed.message());
  std::string pattern = path_.string() + ".tmp-XXXXXX";
  descriptor_ = ::mkostemp(pattern.data(), O_CLOEXEC);
  check(descriptor_ >= 0, "cannot write {}: {}", path_.string(), reason());
  temporary_ = pattern;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(descriptor_, 0666 & ~mask);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    check(count > 0, "cannot write {}: {}", path_.string(), reason());
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::commit() {
  check(::fsync(descriptor_) == 0, "cannot write {}: {}", path_.string(), reason());
  check(::close(std::exchange(descriptor_, -1)) == 0, "cannot write {}: {}", path_.string(), reason());
  check(::rename(temporary_.c_str(), path_.c_str()) == 0, "cannot write {}: {}", path_.string(), reason());
  temporary_.clear();
  sync_folder(path_.has_parent_path() ? path_.parent_path() : ".");
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

std::uint64_t ByteReader::varint(std::string_view what, std::uint64_t max) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = read<std::uint8_t>(what);
    const std::uint64_t bits = byte & 0x7F;
    check(shift < 63 || (shift == 63 && bits <= 1), "{}: the number is too long", what);
    value |= bits << shift;
    if (byte < 0x80) break;
  }
  check(value <= max, "{}: {} is out of range, at most {} is possible", what, value, max);
  return value;
}

std::span<const std::byte> ByteReader::take(std::uint64_t count, std::string_view what) {
  check(count <= remaining(), "{}: {} bytes are needed, {} are left", what, count, remaining());
  const auto part = bytes_.subspan(offset_, count);
  offset_ += count;
  return part;
}

std::string ByteReader::text(std::uint64_t count, std::string_view what) {
  const auto part = take(count, what);
  return {reinterpret_cast<const char*>(part.data()), part.size()};
}

// Not inline: g++ 12 warns of its own vector code where it sees that what is appended is empty.
void ByteWriter::append(std::span<const std::byte> bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) write(static_cast<std::uint8_t>(value | 0x80));
  write(static_cast<std::uint8_t>(value));
}

}  // namespace lathe
