#include "exif.h"

#include "jpeg_tables.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace lathe::datasets {
namespace {

using Bytes = std::span<const std::byte>;

/// Numbers of a TIFF block, in its own byte order; 0 outside of it.
struct Tiff {
  Bytes bytes;
  bool big_endian = false;

  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (at > bytes.size() || size > bytes.size() - at) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i)
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[big_endian ? at + i : at + size - 1 - i]);
    return value;
  }
};

int orientation_of(const Tiff& tiff) {
  constexpr std::uint32_t kOrientation = 0x0112, kShort = 3;
  const std::size_t directory = tiff.number(4, 4);
  const std::uint32_t entries = tiff.number(directory, 2);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (entry + 12 > tiff.bytes.size()) break;
    if (tiff.number(entry, 2) != kOrientation) continue;
    const std::uint32_t value = tiff.number(entry + 8, 2);
    return tiff.number(entry + 2, 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(Bytes jpeg) {
  using namespace std::string_view_literals;
  constexpr std::uint8_t kApp1 = 0xE1;
  constexpr std::string_view kExif = "Exif\0\0"sv;
  int orientation = 1;
  visit_segments(jpeg, [&](std::uint8_t marker, Bytes content) {
    const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    if (marker != kApp1 || !text.starts_with(kExif)) return true;
    const std::string_view tiff = text.substr(kExif.size());
    const bool big_endian = tiff.starts_with("MM\0*"sv);
    if (big_endian || tiff.starts_with("II*\0"sv))
      orientation = orientation_of({content.subspan(kExif.size()), big_endian});
    return false;
  });
  return orientation;
}

Picture upright(Picture picture, int orientation) {
  if (orientation <= 1 || orientation > 8) return picture;
  const bool turned = orientation >= 5;  // rows were columns
  // 2 3 7 8: the right side comes first; 3 4 6 7: the lower side does. Said of the stored picture.
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture result;
  result.width = turned ? picture.height : picture.width;
  result.height = turned ? picture.width : picture.height;
  result.channels = picture.channels;
  const auto channels = static_cast<std::size_t>(picture.channels);
  const auto size =
      static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * channels;
  result.pixels = {static_cast<std::uint8_t*>(std::malloc(size)), std::free};
  if (result.pixels == nullptr) throw std::bad_alloc();
  std::uint8_t* to = result.pixels.get();
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x, to += channels) {
      int column = turned ? y : x, row = turned ? x : y;
      if (from_right) column = picture.width - 1 - column;
      if (from_below) row = picture.height - 1 - row;
      const std::size_t at = static_cast<std::size_t>(row) * static_cast<std::size_t>(picture.width) +
                             static_cast<std::size_t>(column);
      std::memcpy(to, picture.pixels.get() + at * channels, channels);
    }
  return result;
}

}  // namespace lathe::datasets
