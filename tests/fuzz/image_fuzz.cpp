// Feeds bytes to the reader of pictures. What it accepts must have the shape asked for and values within
// 0..1.

#include <lathe/base/error.h>
#include <lathe/datasets/image.h>

#include <string>

#include "datasets/pictures.h"
#include "fuzz.h"

using namespace lathe;

std::vector<std::vector<std::byte>> fuzz::seeds() {
  std::vector<std::vector<std::byte>> seeds;
  const Size size{19, 13};
  for (const std::string& text :
       {png(size, pattern(size, 1)), png(size, pattern(size, 4)), jpeg(size, pattern(size, 1)),
        jpeg(size, pattern(size, 3)), bmp(size, pattern(size, 3))}) {
    const auto bytes = std::as_bytes(std::span(text));
    seeds.emplace_back(bytes.begin(), bytes.end());
  }
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Tensor image;
  try {
    image = datasets::decode_image(std::as_bytes(std::span(data, size)), "fuzz", {8, 8, 3});
  } catch (const Error&) {
    return 0;
  }
  fuzz::require(image.shape() == Shape{1, 8, 8, 3}, "another shape than asked for");
  for (const float value : image.span<float>())
    fuzz::require(value >= 0 && value <= 1, "a value outside 0..1");
  return 0;
}
