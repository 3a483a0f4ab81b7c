#include "part_file.h"

#include <lathe/base/error.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace lathe::datasets {
namespace {

void check_system(bool ok, const std::filesystem::path& path) {
  check(ok, "cannot write {}: {}", path.string(), ok ? "" : std::strerror(errno));
}

}  // namespace

PartFile::PartFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
  check_system(descriptor_ >= 0, path_);
  struct stat status {};
  const bool locked = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (!locked || ::fstat(descriptor_, &status) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    fail("cannot write {}: {}", path_.string(),
         reason == EWOULDBLOCK ? "another process downloads it" : std::strerror(reason));
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

PartFile::~PartFile() {
  if (descriptor_ < 0) return;
  if (size_ == 0) ::unlink(path_.c_str());
  ::close(descriptor_);
}

void PartFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    check_system(count > 0, path_);
    size_ += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PartFile::truncate() {
  check_system(::ftruncate(descriptor_, 0) == 0, path_);
  size_ = 0;
}

void PartFile::rename_to(const std::filesystem::path& path) {
  check_system(::fsync(descriptor_) == 0, path_);
  check_system(::rename(path_.c_str(), path.c_str()) == 0, path);
  ::close(descriptor_);
  descriptor_ = -1;
}

std::string sha256_of(const std::filesystem::path& path) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(::EVP_MD_CTX_new(), ::EVP_MD_CTX_free);
  check(context != nullptr && ::EVP_DigestInit_ex(context.get(), ::EVP_sha256(), nullptr) == 1,
        "cannot check {}: libcrypto offers no SHA-256", path.string());
  std::ifstream file(path, std::ios::binary);
  std::array<char, 1 << 16> chunk;
  while (file) {
    file.read(chunk.data(), chunk.size());
    ::EVP_DigestUpdate(context.get(), chunk.data(), static_cast<std::size_t>(file.gcount()));
  }
  check(file.eof(), "cannot read {}: {}", path.string(), std::strerror(errno));
  std::array<unsigned char, 32> digest{};
  ::EVP_DigestFinal_ex(context.get(), digest.data(), nullptr);
  std::string text;
  for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace lathe::datasets
