#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Numbers of any width one behind the other, the lowest bit first.
namespace lathe::graph::encoding {

class BitWriter {
 public:
  /// 0 <= width <= 64; value < 2^width.
  void write(std::uint64_t value, int width) {
    for (; width > 32; width -= 32, value >>= 32) write(value & 0xFFFFFFFF, 32);
    window_ |= value << filled_;
    for (filled_ += width; filled_ >= 8; filled_ -= 8, window_ >>= 8)
      bytes_.push_back(static_cast<std::byte>(window_ & 255));
  }
  /// The last byte is filled up with zeros.
  std::vector<std::byte> finish() {
    if (filled_ > 0) bytes_.push_back(static_cast<std::byte>(window_));
    return std::move(bytes_);
  }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t window_ = 0;
  int filled_ = 0;
};

/// There must be as many bytes as are read.
class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : next_(bytes.data()) {}

  std::uint64_t read(int width) {
    if (width <= 32) return take(width);
    const std::uint64_t low = take(32);
    return low | take(width - 32) << 32;
  }
  /// Are the bits behind the last number zero?
  bool clean() const { return window_ == 0; }

 private:
  std::uint64_t take(int width) {
    for (; filled_ < width; filled_ += 8) window_ |= static_cast<std::uint64_t>(*next_++) << filled_;
    const std::uint64_t value = window_ & ((std::uint64_t{1} << width) - 1);
    window_ >>= width;
    filled_ -= width;
    return value;
  }

  const std::byte* next_;
  std::uint64_t window_ = 0;
  int filled_ = 0;
};

}  // namespace lathe::graph::encoding
