#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace lathe::datasets {

/// A decoded picture: rows of pixels of `channels` bytes: grey, grey and alpha, RGB or RGBA.
struct Picture {
  int width = 0;
  int height = 0;
  int channels = 0;
  std::unique_ptr<std::uint8_t, void (*)(void*)> pixels{nullptr, nullptr};
};

/// PNG, JPEG or BMP. Throws Error that begins with `name`.
Picture decode_picture(std::span<const std::byte> file, const std::string& name);

}  // namespace lathe::datasets
