#include "encoding.h"

// Numbers of several bytes: all lowest bytes together, then all second ones, and so on. The upper ones are
// alike, the lower ones are noise. In f16 and f32 numbers the exponent comes to fill the upper bits, with the
// sign below it.
namespace lathe::graph::encoding {
namespace {

/// Parts of a floating-point number whose bits are in T.
template <typename T>
struct Bits {
  static constexpr int kExponentBits = sizeof(T) == 2 ? 5 : 8;
  static constexpr T kSign = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  static constexpr T kMantissa = static_cast<T>((T{1} << (8 * sizeof(T) - 1 - kExponentBits)) - 1);
  static constexpr T kExponent = static_cast<T>(~(kSign | kMantissa));

  /// sign exponent mantissa <-> exponent sign mantissa
  static T exponent_first(T x) {
    return static_cast<T>((x & kExponent) << 1 | (x & kSign) >> kExponentBits | (x & kMantissa));
  }
  static T sign_first(T x) {
    return static_cast<T>((x >> 1 & kExponent) | (x << kExponentBits & kSign) | (x & kMantissa));
  }
};

template <typename Change>
void change_all(std::span<std::byte> bytes, Change change) {
  using T = decltype(change(0));
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) store<T>(bytes, i, change(load<T>(bytes, i)));
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
  std::vector<std::byte> bytes(array.bytes.begin(), array.bytes.end());
  if (array.traits.real && array.size == 2) change_all(bytes, Bits<std::uint16_t>::exponent_first);
  if (array.traits.real && array.size == 4) change_all(bytes, Bits<std::uint32_t>::exponent_first);
  Encoded result = begin(Kind::planes);
  std::vector<std::byte> plane(array.count());
  for (std::size_t byte = 0; byte < array.size; ++byte) {
    for (std::size_t i = 0; i < plane.size(); ++i) plane[i] = bytes[i * array.size + byte];
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
  if (traits.real && size == 2) change_all(out, Bits<std::uint16_t>::sign_first);
  if (traits.real && size == 4) change_all(out, Bits<std::uint32_t>::sign_first);
}

}  // namespace lathe::graph::encoding
