#include "models.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace lathe::graph::encoding {
namespace {

// How many bits a symbol has.
constexpr int kClassBits = 7, kFractionBits = 2;
// Groups of counters, as powers of two: enough for kMaxCoded elements.
constexpr int kTextGroups = 9, kElementGroups = 11, kIntegerGroups = 7;
/// Sets of weights: one for each bit of a symbol of up to 8 bits and for its being zero.
constexpr std::uint32_t kSets = 9;

/// A context number from what it is made of, small enough for Predictor.
std::uint32_t context(std::uint32_t array, std::uint32_t what) { return (array * 65599 + what) & 0x7FFFFFF; }

/// Half octaves of a magnitude given in sixteenths: 0..15 for 0..127.
std::uint32_t octave(std::uint32_t sixteenths) {
  if (sixteenths < 32) return sixteenths < 8 ? 0 : sixteenths < 16 ? 1 : 2;
  const auto width = static_cast<std::uint32_t>(std::bit_width(sixteenths));
  return std::min(2 * (width - 5) + (sixteenths >> (width - 2) & 1), 15U);
}

/// Sign and rough size of a number: 0..9.
std::uint32_t rough(int value) {
  const int size = std::abs(value);
  const std::uint32_t level = size == 0 ? 0 : size < 4 ? 1 : size < 12 ? 2 : size < 30 ? 3 : 4;
  return 2 * level + (value < 0 ? 1 : 0);
}

/// The elements around one that comes next. Those not there are 0.
struct Neighbours {
  int left = 0;   ///< the channel before
  int back = 0;   ///< the same channel, one place to the left in the image
  int above = 0;  ///< the same channel, one line up in the image
  int up = 0;     ///< the same place, the output channel before
  int up2 = 0;    ///< and the one before that
};

class Values {
 public:
  Values(std::size_t count, const Traits& traits)
      : values_(count),
        row_(traits.row > 0 ? traits.row : static_cast<std::uint32_t>(count)),
        step_(traits.step),
        line_(traits.line),
        columns_(row_) {}

  /// Moves to the element `index`, one after the other.
  void at(std::size_t index) {
    index_ = index;
    row = static_cast<std::uint32_t>(index / row_);
    column = static_cast<std::uint32_t>(index % row_);
    const bool placed = step_ > 0;
    const std::uint32_t channel = placed ? column % step_ : column;
    near.left = channel > 0 ? before(1) : 0;
    const bool first_place = !placed || column < step_ || (line_ > 0 && column % line_ < step_);
    near.back = first_place ? 0 : before(step_);
    near.above = line_ > 0 && column >= line_ ? before(line_) : 0;
    near.up = row > 0 ? before(row_) : 0;
    near.up2 = row > 1 ? before(2 * std::size_t{row_}) : 0;
    place = placed ? channel : 16 * rough(near.left) + rough(channel > 1 ? before(2) : 0);
  }
  void put(int value) {
    values_[index_] = static_cast<std::int8_t>(value);
    const auto size = 16 * static_cast<std::uint32_t>(std::abs(value));
    columns_[column] = row > 0 ? (3 * columns_[column] + size) / 4 : size;
  }
  /// How large the elements of this column were, later rows counting more; in sixteenths.
  std::uint32_t column_size() const { return columns_[column]; }

  Neighbours near;
  std::uint32_t row = 0, column = 0;
  std::uint32_t place = 0;  ///< the channel, or without channels what came before

 private:
  int before(std::size_t distance) const { return values_[index_ - distance]; }
  std::vector<std::int8_t> values_;
  std::uint32_t row_, step_, line_;
  std::vector<std::uint32_t> columns_;
  std::size_t index_ = 0;
};

}  // namespace

Models::Models()
    : text_(kSets, kTextGroups),
      elements_(2 * kSets, kElementGroups),
      classes_(kSets, kIntegerGroups),
      fractions_(kSets, kIntegerGroups) {}

/// Bytes are predicted from the 0 to 4 bytes before.
template <typename Coder>
void Models::text(Coder& coder, std::span<std::byte> bytes) {
  std::uint32_t last = 0;
  decltype(text_)::Contexts contexts{};
  for (std::byte& byte : bytes) {
    for (std::uint32_t order = 0; order < contexts.size(); ++order)
      contexts[order] = context(order, order == 0 ? 0 : (last << (32 - 8 * order)) % 134217689);
    const std::uint32_t value = text_.symbol(coder, static_cast<std::uint32_t>(byte), 8, 0, contexts, 0);
    byte = static_cast<std::byte>(value);
    last = last << 8 | value;
  }
}

/// Small numbers, weights above all: from how often each occurs in the file, the array and the output
/// channel, and from the neighbours.
template <typename Coder>
void Models::elements(Coder& coder, std::span<std::byte> bytes, const Traits& traits) {
  const bool indices = !traits.values.empty();
  const int bits = indices ? std::bit_width(traits.values.size() - 1) : 8;
  // Numbers with a sign are coded in their order.
  const std::uint32_t flip = indices ? 0 : 128;
  Values values(bytes.size(), traits);
  const std::uint32_t array = ++arrays_ * 16;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    values.at(i);
    const Neighbours& near = values.near;
    const auto sum = static_cast<std::uint32_t>(std::abs(near.left) + std::abs(near.back) +
                                                std::abs(near.above) + std::abs(near.up));
    const decltype(elements_)::Contexts contexts{
        context(0, static_cast<std::uint32_t>(bits)),
        context(array, 0),
        context(array + 1, values.row),
        context(array + 2, values.place),
        context(array + 3, octave(4 * sum)),
        context(array + 4, 16 * rough(near.back) + rough(near.above)),
        context(array + 5, 16 * rough(near.up) + rough(near.up2)),
        context(array + 6, 4 * octave(values.column_size()) + std::min(values.row, 3U))};
    const std::uint32_t symbol = elements_.symbol(coder, static_cast<std::uint32_t>(bytes[i]), bits, flip,
                                                  contexts, indices ? kSets : 0);
    bytes[i] = static_cast<std::byte>(symbol);
    if (!indices)
      values.put(static_cast<std::int8_t>(symbol));
    else
      values.put(symbol < traits.values.size() ? traits.values[symbol] : 0);
  }
}

/// Large numbers, biases above all: the sign in the lowest bit, the number of bits as a symbol, the highest
/// of them as a second one, the rest as they are.
template <typename T, typename Coder>
void Models::integers(Coder& coder, std::span<std::byte> bytes) {
  using Signed = std::make_signed_t<T>;
  constexpr int kWidth = 8 * sizeof(T);
  const std::uint32_t array = ++arrays_ * 16;
  std::uint32_t last = 0;
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T element = 0;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    const T folded =
        static_cast<T>(element << 1) ^ static_cast<T>(static_cast<Signed>(element) >> (kWidth - 1));
    const decltype(classes_)::Contexts contexts{context(0, kWidth), context(array, 0),
                                                context(array + 1, last)};
    const std::uint32_t width = classes_.symbol(coder, static_cast<std::uint32_t>(std::bit_width(folded)),
                                                kClassBits, 0, contexts, 0);
    last = width;
    T value = width > 0 ? 1 : 0;
    int rest = std::min(static_cast<int>(width), kWidth) - 1;
    if (rest >= kFractionBits) {
      rest -= kFractionBits;
      const decltype(fractions_)::Contexts inner{context(1, kWidth), context(array + 2, width)};
      const auto fraction = static_cast<std::uint32_t>(folded >> rest) & ((1U << kFractionBits) - 1);
      value = static_cast<T>(value << kFractionBits |
                             fractions_.symbol(coder, fraction, kFractionBits, 0, inner, 0));
    }
    for (; rest > 0;) {
      const int part = std::min(rest, 16);
      rest -= part;
      value = static_cast<T>(value << part | coder.bits(static_cast<std::uint32_t>(folded >> rest), part));
    }
    element = static_cast<T>(value >> 1) ^ static_cast<T>(-(value & 1));
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
}

template <typename Coder>
void Models::array(Coder& coder, std::span<std::byte> bytes, std::size_t size, const Traits& traits) {
  if (size == 1) return elements(coder, bytes, traits);
  if (size == 2) return integers<std::uint16_t>(coder, bytes);
  if (size == 4) return integers<std::uint32_t>(coder, bytes);
  integers<std::uint64_t>(coder, bytes);
}

template void Models::array(RangeEncoder&, std::span<std::byte>, std::size_t, const Traits&);

bool StreamDecoder::take(std::size_t count) {
  if (count > left_) return false;
  left_ -= count;
  return true;
}

bool StreamDecoder::text(std::span<std::byte> out) {
  if (!take(out.size())) return false;
  models_->text(decoder_, out);
  return true;
}

bool StreamDecoder::array(std::span<std::byte> out, std::size_t size, const Traits& traits) {
  if (!take(out.size() / size)) return false;
  models_->array(decoder_, out, size, traits);
  return true;
}

std::vector<std::byte> encode_stream(std::span<const std::byte> text, std::span<const CodedArray> arrays) {
  RangeEncoder encoder;
  const auto models = std::make_unique<Models>();
  std::vector<std::byte> bytes(text.begin(), text.end());
  models->text(encoder, bytes);
  for (const CodedArray& array : arrays) {
    bytes = array.bytes;
    models->array(encoder, bytes, array.size, array.traits);
  }
  return encoder.finish();
}

}  // namespace lathe::graph::encoding
