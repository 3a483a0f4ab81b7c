#pragma once

#include <cstdint>
#include <string>
#include <vector>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#include <stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/// Pictures as files in memory.
struct Size {
  int width;
  int height;
};

inline void append_bytes(void* text, void* data, int size) {
  static_cast<std::string*>(text)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
}

/// 1 to 4 channels, by the number of values.
inline int channels_of(Size size, const std::vector<std::uint8_t>& pixels) {
  return static_cast<int>(pixels.size()) / (size.width * size.height);
}
inline std::string png(Size size, const std::vector<std::uint8_t>& pixels) {
  std::string bytes;
  const int channels = channels_of(size, pixels);
  stbi_write_png_to_func(append_bytes, &bytes, size.width, size.height, channels, pixels.data(),
                         size.width * channels);
  return bytes;
}
inline std::string bmp(Size size, const std::vector<std::uint8_t>& pixels) {
  std::string bytes;
  stbi_write_bmp_to_func(append_bytes, &bytes, size.width, size.height, channels_of(size, pixels),
                         pixels.data());
  return bytes;
}
inline std::string jpeg(Size size, const std::vector<std::uint8_t>& pixels) {
  std::string bytes;
  stbi_write_jpg_to_func(append_bytes, &bytes, size.width, size.height, channels_of(size, pixels),
                         pixels.data(), 95);
  return bytes;
}

/// A picture with some detail.
inline std::vector<std::uint8_t> pattern(Size size, int channels) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size.width * size.height * channels));
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * i / 7 + i);
  return pixels;
}
