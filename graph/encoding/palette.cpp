#include "encoding.h"

#include <algorithm>
#include <unordered_map>

// Few distinct numbers are stored once, and for each element which of them it is. The most frequent number
// comes first, the others follow in ascending order: neighbours in it are neighbours in size.
namespace lathe::graph::encoding {
namespace {

/// More would not fit an index of one byte.
constexpr std::size_t kMaxColours = 256;

/// What each number stands for in predictions: its value, if it is a byte; else its sign and rank by
/// magnitude.
template <typename T>
std::vector<std::int8_t> stand_ins(const std::vector<T>& colours) {
  std::vector<std::int8_t> result(colours.size());
  if constexpr (sizeof(T) == 1) {
    std::ranges::transform(colours, result.begin(), [](T c) { return static_cast<std::int8_t>(c); });
  } else {
    constexpr T kMagnitude = static_cast<T>(~T{0}) >> 1;
    for (std::size_t i = 0; i < colours.size(); ++i) {
      const T size = colours[i] & kMagnitude;
      const auto rank = std::ranges::count_if(colours, [&](T other) { return (other & kMagnitude) < size; });
      const int value = size == 0 ? 0 : 1 + static_cast<int>(rank) * 126 / static_cast<int>(colours.size());
      result[i] = static_cast<std::int8_t>(colours[i] > kMagnitude ? -value : value);
    }
  }
  return result;
}

template <typename T>
std::optional<Encoded> encode(const Array& array, const Search& search) {
  const std::size_t count = array.count();
  std::unordered_map<T, std::size_t> occurrences;
  for (std::size_t i = 0; i < count; ++i) {
    ++occurrences[load<T>(array.bytes, i)];
    // Too many for indices that are shorter than the numbers.
    if (occurrences.size() > (sizeof(T) == 1 ? kMaxColours / 4 : kMaxColours) ||
        occurrences.size() > count / 2)
      return {};
  }
  if (occurrences.size() < 2) return {};
  std::vector<T> colours;
  for (const auto& [colour, times] : occurrences) colours.push_back(colour);
  std::ranges::sort(colours, {}, [](T colour) { return static_cast<std::make_signed_t<T>>(colour); });
  const auto common = std::ranges::max_element(colours, {}, [&](T colour) { return occurrences[colour]; });
  std::rotate(colours.begin(), common, common + 1);
  std::unordered_map<T, std::uint8_t> place;
  for (std::size_t i = 0; i < colours.size(); ++i) place[colours[i]] = static_cast<std::uint8_t>(i);
  std::vector<std::byte> indices(count);
  for (std::size_t i = 0; i < count; ++i) indices[i] = static_cast<std::byte>(place[load<T>(array.bytes, i)]);

  Encoded result = begin(Kind::palette);
  result.description.varint(colours.size());
  append(result, search.smallest({.bytes = std::as_bytes(std::span(colours)), .size = sizeof(T)},
                                 Search::Among::bytes));
  Traits traits = array.traits;
  traits.real = false;
  traits.values = stand_ins(colours);
  append(result, search.smallest({.bytes = indices, .traits = std::move(traits)}, Search::Among::simple));
  return result;
}

template <typename T>
void decode(Source& source, std::span<std::byte> out, Traits traits, int depth) {
  const std::size_t size = source.description.varint("size of a palette", kMaxColours);
  std::vector<T> colours(size);
  encoding::decode(source, std::as_writable_bytes(std::span(colours)), sizeof(T), {}, depth);
  traits.real = false;
  traits.values = stand_ins(colours);
  std::vector<std::byte> indices(out.size() / sizeof(T));
  encoding::decode(source, indices, 1, traits, depth);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto index = static_cast<std::size_t>(indices[i]);
    source.description.check(index < size, "index {} into a palette of {}", index, size);
    store(out, i, colours[index]);
  }
}

}  // namespace

std::optional<Encoded> encode_palette(const Array& array, const Search& search) {
  return with_unsigned(array.size, [&](auto zero) { return encode<decltype(zero)>(array, search); });
}

void decode_palette(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                    int depth) {
  with_unsigned(size, [&](auto zero) { decode<decltype(zero)>(source, out, traits, depth); });
}

}  // namespace lathe::graph::encoding
