#include "bits.h"
#include "encoding.h"

#include <algorithm>
#include <bit>

// Integers that differ little, or in their upper bits only, are packed without gaps: each is base + (x <<
// shift), where x takes `width` bits. Biases and scales with a short mantissa are such, indices into a
// palette, flags.
namespace lathe::graph::encoding {
namespace {

std::size_t packed_bytes(std::size_t count, int width) {
  return (count * static_cast<std::size_t>(width) + 7) / 8;
}

template <typename T>
std::optional<Encoded> encode(const Array& array, const Search& search) {
  using Signed = std::make_signed_t<T>;
  const std::size_t count = array.count();
  if (count == 0) return {};
  auto low = static_cast<Signed>(load<T>(array.bytes, 0));
  for (std::size_t i = 1; i < count; ++i) low = std::min(low, static_cast<Signed>(load<T>(array.bytes, i)));
  const T base = static_cast<T>(low);
  T used = 0;
  for (std::size_t i = 0; i < count; ++i) used |= static_cast<T>(load<T>(array.bytes, i) - base);
  const int shift = used == 0 ? 0 : std::countr_zero(used);
  const int width = std::bit_width(static_cast<T>(used >> shift));
  if (width == 8 * sizeof(T)) return {};

  Encoded result = begin(Kind::packed);
  result.description.write(static_cast<std::uint8_t>(shift));
  result.description.write(static_cast<std::uint8_t>(width));
  result.description.write(base);
  if (width == 0) return result;
  BitWriter writer;
  for (std::size_t i = 0; i < count; ++i)
    writer.write(static_cast<T>(load<T>(array.bytes, i) - base) >> shift, width);
  const std::vector<std::byte> bytes = writer.finish();
  append(result, search.smallest({.bytes = bytes}, Search::Among::bytes));
  return result;
}

template <typename T>
void decode(Source& source, std::span<std::byte> out, int depth) {
  ByteReader& description = source.description;
  const int shift = description.read<std::uint8_t>("shift"), width = description.read<std::uint8_t>("width");
  description.check(shift + width <= static_cast<int>(8 * sizeof(T)),
                    "{} bits shifted by {} are too many for {} bytes", width, shift, sizeof(T));
  const T base = description.read<T>("base");
  const std::size_t count = out.size() / sizeof(T);
  std::vector<std::byte> bytes(packed_bytes(count, width));
  if (width > 0) encoding::decode(source, bytes, 1, {}, depth);
  BitReader reader(bytes);
  for (std::size_t i = 0; i < count; ++i)
    store(
        out, i,
        static_cast<T>(base + static_cast<T>(static_cast<T>(reader.read(width)) << (width > 0 ? shift : 0))));
  source.data.check(reader.clean(), "bits behind the last of packed numbers are not zero");
}

}  // namespace

std::optional<Encoded> encode_packed(const Array& array, const Search& search) {
  return with_unsigned(array.size, [&](auto zero) { return encode<decltype(zero)>(array, search); });
}

void decode_packed(Source& source, std::span<std::byte> out, std::size_t size, int depth) {
  with_unsigned(size, [&](auto zero) { decode<decltype(zero)>(source, out, depth); });
}

}  // namespace lathe::graph::encoding
