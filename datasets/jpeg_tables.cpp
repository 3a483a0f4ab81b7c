#include "jpeg_tables.h"

#include <string_view>

namespace lathe::datasets {
namespace {

constexpr std::uint8_t kMark = 0xFF, kTables = 0xC4, kScan = 0xDA, kAdobe = 0xEE;

/// The tables of a DHT segment whose length field is at `at`: each has 17 bytes of class and counts by code
/// length, then its symbols.
bool tables_fit(std::span<const std::byte> file, std::size_t at) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  if (at + 2 > file.size()) return true;  // cut off before any table
  const std::size_t end = at + byte(at) * 256 + byte(at + 1);
  for (std::size_t table = at + 2; table < end;) {
    if (table + 17 > file.size()) return false;
    std::size_t symbols = 0;
    for (std::size_t i = 1; i <= 16; ++i) symbols += byte(table + i);
    if (symbols > 256) return false;
    table += 17 + symbols;
  }
  return true;
}

}  // namespace

bool huffman_tables_fit(std::span<const std::byte> jpeg) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(jpeg[i]); };
  // Up to the first scan segment by segment: a comment or a profile may hold any bytes. Behind it marks may
  // be anywhere; coded data have none of these.
  bool scanning = false;
  for (std::size_t at = 2; at + 1 < jpeg.size();) {
    if (byte(at) != kMark || byte(at + 1) == kMark) {
      ++at;
      continue;
    }
    const std::uint8_t marker = byte(at + 1);
    at += 2;
    if (marker == kTables && !tables_fit(jpeg, at)) return false;
    scanning = scanning || marker == kScan;
    if (!scanning && at + 1 < jpeg.size()) at += std::size_t{byte(at)} * 256 + byte(at + 1);
  }
  return true;
}

void visit_segments(std::span<const std::byte> jpeg,
                    FunctionRef<bool(std::uint8_t marker, std::span<const std::byte> content)> visit) {
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint8_t>(jpeg[i]); };
  for (std::size_t at = 2; at + 4 <= jpeg.size();) {
    if (byte(at) != kMark || byte(at + 1) == kMark) {  // a fill byte
      ++at;
      continue;
    }
    if (byte(at + 1) == kScan) return;
    const std::size_t length = std::size_t{byte(at + 2)} * 256 + byte(at + 3);
    if (length < 2 || length > jpeg.size() - at - 2) return;
    if (!visit(byte(at + 1), jpeg.subspan(at + 4, length - 2))) return;
    at += 2 + length;
  }
}

bool colours_known(std::span<const std::byte> jpeg) {
  constexpr std::size_t kTransformAt = 11, kComponentsAt = 5;
  constexpr std::uint8_t kFirstFrame = 0xC0, kProgressive = 0xC2;
  bool four = false, told = false;
  visit_segments(jpeg, [&](std::uint8_t marker, std::span<const std::byte> content) {
    const auto byte = [&](std::size_t i) { return std::to_integer<int>(content[i]); };
    if (marker >= kFirstFrame && marker <= kProgressive && content.size() > kComponentsAt)
      four = byte(kComponentsAt) == 4;
    const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    if (marker == kAdobe && text.starts_with("Adobe") && content.size() > kTransformAt)
      told = byte(kTransformAt) == 0 || byte(kTransformAt) == 2;
    return true;
  });
  return !four || told;
}

}  // namespace lathe::datasets
