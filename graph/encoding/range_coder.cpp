#include "range_coder.h"

#include <cmath>

namespace lathe::graph::encoding {
namespace {

/// Bytes that stand for the bits which the limits have in common but for a fraction of a byte.
double pending(std::uint32_t low, std::uint32_t high) {
  return (32 - std::log2(static_cast<double>(high - low) + 1)) / 8;
}

}  // namespace

double RangeEncoder::size() const { return static_cast<double>(bytes_.size()) + pending(low_, high_); }

std::vector<std::byte> RangeEncoder::finish() {
  // The number between the limits with the most zero bytes at its end; those need not be written.
  for (int kept = 0; kept <= 4; ++kept) {
    const std::uint32_t rest = kept < 4 ? ~std::uint32_t{0} >> (8 * kept) : 0;
    const std::uint64_t number = (std::uint64_t{low_} + rest) & ~std::uint64_t{rest};
    if (number > high_) continue;
    for (int i = 0; i < kept; ++i) bytes_.push_back(static_cast<std::byte>(number >> (24 - 8 * i)));
    break;
  }
  return std::move(bytes_);
}

double RangeDecoder::size() const { return static_cast<double>(read_) - 4 + pending(low_, high_); }

}  // namespace lathe::graph::encoding
