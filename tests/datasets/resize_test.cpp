#include <doctest/doctest.h>

#include <lathe/datasets/image.h>

#include <algorithm>
#include <cmath>

#include "pictures.h"

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#include <stb_image_resize.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

using namespace lathe;
using namespace lathe::datasets;

TEST_CASE("resize: the same values as a public library with the same filter, away from the border") {
  const Size size{90, 60};
  const std::vector<std::uint8_t> bytes = pattern(size, 3);
  std::vector<float> source(bytes.size());
  std::transform(bytes.begin(), bytes.end(), source.begin(),
                 [](std::uint8_t byte) { return static_cast<float>(byte) / 255.0f; });
  const std::string file = png(size, bytes);
  for (const Size to : {Size{45, 30}, Size{31, 23}, Size{64, 48}, Size{120, 70}, Size{90, 60}}) {
    std::vector<float> expected(static_cast<std::size_t>(to.width * to.height * 3));
    REQUIRE(::stbir_resize_float_generic(source.data(), size.width, size.height, 0, expected.data(), to.width,
                                         to.height, 0, 3, STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP,
                                         STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr) != 0);
    const Tensor image =
        decode_image(std::as_bytes(std::span(file.data(), file.size())), "a.png", {to.height, to.width, 3});
    // At the border the library repeats the last pixel, where here the weights that are left make up one.
    float largest = 0;
    for (int y = 1; y + 1 < to.height; ++y)
      for (int x = 1; x + 1 < to.width; ++x)
        for (int c = 0; c < 3; ++c) {
          const auto i = static_cast<std::size_t>((y * to.width + x) * 3 + c);
          largest = std::max(largest, std::abs(image.span<float>()[i] - expected[i]));
        }
    INFO(to.width, "x", to.height);
    CHECK(largest < 1e-5f);
  }
}
