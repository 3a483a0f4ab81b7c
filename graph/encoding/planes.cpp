#include "encoding.h"

// Numbers of several bytes: all lowest bytes together, then all second ones, and so on. The upper ones are
// alike, the lower ones are noise. In f32 numbers the exponent comes to fill the upper byte, with the sign
// below it.
namespace lathe::graph::encoding {
namespace {

constexpr std::uint32_t kSign = 0x80000000, kExponent = 0x7F800000, kMantissa = 0x007FFFFF;

/// sign exponent mantissa <-> exponent sign mantissa
std::uint32_t exponent_first(std::uint32_t x) {
  return (x & kExponent) << 1 | (x & kSign) >> 8 | (x & kMantissa);
}
std::uint32_t sign_first(std::uint32_t x) {
  return (x >> 1 & kExponent) | (x << 8 & kSign) | (x & kMantissa);
}

/// The upper planes resemble the numbers themselves.
Traits of_plane(const Traits& traits) {
  Traits result = traits;
  result.real = false;
  return result;
}

}  // namespace

std::optional<Encoded> encode_planes(const Array& array, const Search& search) {
  if (array.size == 1 || array.count() < 2) return {};
  Encoded result = begin(Kind::planes);
  std::vector<std::byte> plane(array.count());
  for (std::size_t byte = 0; byte < array.size; ++byte) {
    for (std::size_t i = 0; i < plane.size(); ++i) {
      plane[i] = array.bytes[i * array.size + byte];
      if (array.traits.real)
        plane[i] =
            static_cast<std::byte>(exponent_first(load<std::uint32_t>(array.bytes, i)) >> (8 * byte) & 255);
    }
    append(result,
           search.smallest({.bytes = plane, .traits = of_plane(array.traits)}, Search::Among::simple));
  }
  return result;
}

void decode_planes(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                   int depth) {
  source.description.check(size > 1, "bytes have no planes");
  std::vector<std::byte> plane(out.size() / size);
  for (std::size_t byte = 0; byte < size; ++byte) {
    decode(source, plane, 1, of_plane(traits), depth);
    for (std::size_t i = 0; i < plane.size(); ++i) out[i * size + byte] = plane[i];
  }
  if (!traits.real) return;
  for (std::size_t i = 0; i < plane.size(); ++i) store(out, i, sign_first(load<std::uint32_t>(out, i)));
}

}  // namespace lathe::graph::encoding
