#include "encoding.h"

#include <algorithm>

// Arrays with many zeros: where the others are and what they are, apart from each other. `sparse` has a flag
// for each element, `gaps` the number of zeros before each of the others: shorter when those are rare.
namespace lathe::graph::encoding {
namespace {

/// A gap of this number of zeros, and no number behind it.
constexpr std::uint8_t kLongGap = 255;

/// Which elements are not zero (1), and those.
struct Parts {
  std::vector<std::byte> flags;
  std::vector<std::byte> numbers;
};

Parts take_apart(const Array& array) {
  Parts parts;
  for (std::size_t i = 0; i < array.count(); ++i) {
    const auto element = array.bytes.subspan(i * array.size, array.size);
    const bool zero = std::ranges::all_of(element, [](std::byte byte) { return byte == std::byte{0}; });
    parts.flags.push_back(std::byte{!zero});
    if (!zero) parts.numbers.insert(parts.numbers.end(), element.begin(), element.end());
  }
  return parts;
}

/// Traits of the flags and of the numbers that are left.
Traits of_flags(Traits traits) {
  traits.real = false;
  traits.values = {0, 127};
  return traits;
}
Traits of_numbers(const Traits& traits) {
  Traits result;
  result.real = traits.real;
  result.values = traits.values;
  return result;
}

/// Splitting pays with a fair number of zeros only; without numbers, `packed` stores the array in no bytes at
/// all.
bool fits(const Array& array, const Parts& parts) {
  const std::size_t numbers = parts.numbers.size() / array.size;
  return numbers > 0 && numbers <= array.count() - array.count() / 8;
}

}  // namespace

std::optional<Encoded> encode_sparse(const Array& array, const Search& search) {
  const Parts parts = take_apart(array);
  if (!fits(array, parts)) return {};
  Encoded result = begin(Kind::sparse);
  append(result,
         search.smallest({.bytes = parts.flags, .traits = of_flags(array.traits)}, Search::Among::simple));
  append(result,
         search.smallest({parts.numbers, array.size, of_numbers(array.traits)}, Search::Among::dense));
  return result;
}

void decode_sparse(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                   int depth) {
  std::vector<std::byte> flags(out.size() / size);
  decode(source, flags, 1, of_flags(traits), depth);
  std::vector<std::byte> numbers;
  {
    std::size_t count = 0;
    for (std::byte flag : flags) {
      source.description.check(flag <= std::byte{1}, "{} is no flag", static_cast<int>(flag));
      count += static_cast<std::size_t>(flag);
    }
    numbers.resize(count * size);
  }
  decode(source, numbers, size, of_numbers(traits), depth);
  auto next = numbers.begin();
  const auto step = static_cast<std::ptrdiff_t>(size);
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const auto to = out.begin() + static_cast<std::ptrdiff_t>(i * size);
    if (flags[i] == std::byte{0})
      std::fill_n(to, size, std::byte{0});
    else
      std::copy_n(std::exchange(next, next + step), size, to);
  }
}

std::optional<Encoded> encode_gaps(const Array& array, const Search& search) {
  const Parts parts = take_apart(array);
  if (!fits(array, parts)) return {};
  std::vector<std::byte> gaps;
  std::uint8_t gap = 0;
  for (std::byte flag : parts.flags) {
    if (gap == kLongGap) gaps.push_back(static_cast<std::byte>(std::exchange(gap, 0)));
    if (flag == std::byte{1})
      gaps.push_back(static_cast<std::byte>(std::exchange(gap, 0)));
    else
      ++gap;
  }
  Encoded result = begin(Kind::gaps);
  result.description.varint(gaps.size());
  append(result, search.smallest({.bytes = gaps}, Search::Among::simple));
  append(result,
         search.smallest({parts.numbers, array.size, of_numbers(array.traits)}, Search::Among::dense));
  return result;
}

void decode_gaps(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                 int depth) {
  const std::size_t elements = out.size() / size;
  std::vector<std::byte> gaps(source.description.varint("number of gaps", elements));
  decode(source, gaps, 1, {}, depth);
  const auto longs = static_cast<std::size_t>(std::ranges::count(gaps, std::byte{kLongGap}));
  std::vector<std::byte> numbers((gaps.size() - longs) * size);
  decode(source, numbers, size, of_numbers(traits), depth);
  std::ranges::fill(out, std::byte{0});
  std::size_t at = 0;
  auto next = numbers.begin();
  for (std::byte gap : gaps) {
    at += static_cast<std::size_t>(gap);
    if (gap == std::byte{kLongGap}) continue;
    source.description.check(at < elements, "a gap ends behind the last of {} elements", elements);
    std::copy_n(next, size, out.begin() + static_cast<std::ptrdiff_t>(at * size));
    next += static_cast<std::ptrdiff_t>(size);
    ++at;
  }
}

}  // namespace lathe::graph::encoding
