#include "jpeg_tables.h"

#include <cstdint>

namespace lathe::datasets {
namespace {

constexpr std::uint8_t kMark = 0xFF, kTables = 0xC4, kScan = 0xDA;

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

}  // namespace lathe::datasets
