#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

/// Binary arithmetic coding: each bit is written in about -log2(probability) bits, its probability being
/// what a model said before it came (Rissanen & Langdon 1979; the carryless form with two 32-bit limits is
/// that of Mahoney 2005, "Adaptive weighing of context models"). Encoder and decoder have the same two
/// functions, so that a model is written once, as a template over them; what the encoder takes, the decoder
/// returns.
namespace lathe::graph::encoding {

class RangeEncoder {
 public:
  static constexpr bool kDecodes = false;

  /// `one`: probability of a 1 in 1/65536, 1..65535.
  bool bit(bool value, std::uint32_t one) {
    const std::uint32_t middle = low_ + static_cast<std::uint32_t>((std::uint64_t{high_ - low_} * one) >> 16);
    (value ? high_ : low_) = value ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      bytes_.push_back(static_cast<std::byte>(high_ >> 24));
      low_ <<= 8;
      high_ = high_ << 8 | 255;
    }
    return value;
  }
  /// `count` bits that are as often 0 as 1, the highest first.
  std::uint32_t bits(std::uint32_t value, int count) {
    for (int i = count - 1; i >= 0; --i) bit((value >> i & 1) != 0, 32768);
    return value;
  }

  /// Bytes written and pending; a measure to compare, exact to a bit.
  double size() const;
  /// Ends the stream with as few bytes as tell it apart, given that zeros follow.
  std::vector<std::byte> finish();

 private:
  std::uint32_t low_ = 0, high_ = ~std::uint32_t{0};
  std::vector<std::byte> bytes_;
};

/// Reads what RangeEncoder wrote. Behind the end it reads zeros and says so: any bytes decode to something,
/// it is for the caller to bound how much.
class RangeDecoder {
 public:
  static constexpr bool kDecodes = true;

  explicit RangeDecoder(std::span<const std::byte> bytes) : bytes_(bytes) {
    for (int i = 0; i < 4; ++i) code_ = code_ << 8 | next();
  }

  bool bit(bool, std::uint32_t one) {
    const std::uint32_t middle = low_ + static_cast<std::uint32_t>((std::uint64_t{high_ - low_} * one) >> 16);
    const bool value = code_ <= middle;
    (value ? high_ : low_) = value ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      low_ <<= 8;
      high_ = high_ << 8 | 255;
      code_ = code_ << 8 | next();
    }
    return value;
  }
  std::uint32_t bits(std::uint32_t, int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 1 | static_cast<std::uint32_t>(bit(false, 32768));
    return value;
  }

  /// As RangeEncoder::size() was at the same place.
  double size() const;
  /// Have bytes been read that are not there? Encoders leave out trailing zeros, but no more than 4 of them.
  bool overrun() const { return read_ > bytes_.size() + 4; }
  /// Have all bytes been used?
  bool complete() const { return read_ >= bytes_.size(); }

 private:
  std::uint32_t next() {
    const std::size_t at = read_++;
    return at < bytes_.size() ? static_cast<std::uint32_t>(bytes_[at]) : 0;
  }

  std::span<const std::byte> bytes_;
  std::size_t read_ = 0;
  std::uint32_t low_ = 0, high_ = ~std::uint32_t{0}, code_ = 0;
};

}  // namespace lathe::graph::encoding
