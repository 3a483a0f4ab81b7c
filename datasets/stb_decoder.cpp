#include "stb_decoder.h"

#include "jpeg_tables.h"

#include <lathe/base/error.h>

#include <string_view>

// Only the three formats that are wanted: less for a hostile file to reach.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#include <stb_image.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace lathe::datasets {
namespace {

constexpr std::int64_t kMaxPixels = 64'000'000;
constexpr std::int64_t kMaxPixelsPerByte = 1032 * 8;  // the most that deflate can repeat, one bit a pixel
constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

/// By what the file begins with; empty for others. (The decoder tries its formats in turn and tells the last
/// one's trouble.)
std::string_view format_of(std::span<const std::byte> file) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (text.starts_with("\xFF\xD8"sv)) return "JPEG";
  if (text.starts_with("\x89PNG\r\n\x1A\n"sv)) return "PNG";
  if (text.starts_with("BM"sv)) return "BMP";
  return {};
}

}  // namespace

Picture decode_picture(std::span<const std::byte> file, const std::string& name) {
  check(!file.empty(), "{}: the file is empty, expected a picture", name);
  check(file.size() <= kMaxFileBytes, "{}: {} bytes, at most {} are read", name, file.size(), kMaxFileBytes);
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  const int length = static_cast<int>(file.size());

  // The header first: a few bytes can claim any size.
  Picture picture;
  const std::string_view format = format_of(file);
  check(!format.empty(), "{}: not a PNG, JPEG or BMP picture", name);
  check(format != "JPEG" || huffman_tables_fit(file), "{}: damaged JPEG picture (bad Huffman table)", name);
  check(format != "JPEG" || colours_known(file),
        "{}: JPEG picture of four colour components without a word on what they are", name);
  check(::stbi_info_from_memory(bytes, length, &picture.width, &picture.height, &picture.channels) != 0,
        "{}: damaged {} picture, or of a kind that is not read: its header makes no sense", name, format);
  const std::int64_t pixels = std::int64_t{picture.width} * picture.height;
  check(pixels > 0 && pixels <= kMaxPixels, "{}: {}x{} pixels, at most {} are read", name, picture.width,
        picture.height, kMaxPixels);
  check(pixels <= length * kMaxPixelsPerByte,
        "{}: its header claims {}x{} pixels, its {} bytes cannot hold them", name, picture.width,
        picture.height, length);

  picture.pixels = {
      ::stbi_load_from_memory(bytes, length, &picture.width, &picture.height, &picture.channels, 0),
      ::stbi_image_free};
  check(picture.pixels != nullptr, "{}: damaged {} picture ({})", name, format, ::stbi_failure_reason());
  return picture;
}

}  // namespace lathe::datasets
