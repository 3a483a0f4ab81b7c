#pragma once

#include "models.h"

#include <lathe/base/io.h>

#include <optional>
#include <string>

/// How the numbers of a constant are stored: each encoding is a file with the function that writes it and the
/// one that reads it. Encodings nest: a palette stores its indices as an array again, and so on.
/// docs/file-format.md describes the bytes.
namespace lathe::graph::encoding {

/// Never renumber.
enum class Kind : std::uint8_t {
  raw = 0,
  deflate = 1,
  coded = 2,
  packed = 3,
  palette = 4,
  sparse = 5,
  gaps = 6,
  planes = 7,
};
inline constexpr Kind kLastKind = Kind::planes;
std::string_view to_string(Kind kind);

/// Arrays stored raw, not inside another, that have at least this size start at a multiple of kAlignment in
/// the file; padding smaller ones would show in a small file.
inline constexpr std::size_t kAlignFrom = 65536;
inline constexpr std::size_t kAlignment = 64;
/// Bytes to skip so that an array of `bytes`, stored raw, may start behind `offset`.
std::size_t padding_before(std::size_t offset, std::size_t bytes);

/// Arrays inside arrays, the outermost counted.
inline constexpr int kMaxDepth = 4;

/// What is to be stored: `bytes` are integers of `size` bytes (1, 2, 4 or 8), little-endian.
struct Array {
  std::span<const std::byte> bytes;
  std::size_t size = 1;
  Traits traits{};
  std::size_t count() const { return bytes.size() / size; }
};

/// An array in its stored form. The parts go to three places: what tells how to decode to the graph section,
/// numbers to the data section or into the coded stream of the file.
struct Encoded {
  ByteWriter description;
  ByteWriter data;
  std::vector<CodedArray> coded;
  /// Elements for the coded stream.
  std::size_t coded_count() const;
  /// Is this the encoding `raw`, not inside another?
  bool raw() const { return description.view().front() == static_cast<std::byte>(Kind::raw); }
};

/// Finds the smallest form of an array.
class Search {
 public:
  /// Which encodings an array may take: each value allows those of the values after it as well.
  enum class Among {
    all,
    dense,   ///< not sparse, gaps: for numbers without zeros
    simple,  ///< not palette, planes: for bytes that are already part of such a form
    bytes,   ///< raw, deflate
  };

  /// Without a coded stream.
  Search() = default;
  /// `models`: the state of the coded stream that the array would go to; `left`: how many elements it may
  /// take.
  Search(const Models& models, std::size_t left) : models_(&models), left_(left) {}

  Encoded smallest(const Array& array, Among among = Among::all) const;

 private:
  /// Bytes of the file that a form takes.
  double cost(const Encoded& encoded) const;
  const Models* models_ = nullptr;
  std::size_t left_ = 0;
};

/// Starts the form of an array: its kind.
Encoded begin(Kind kind);
/// Adds the form of a part of it.
void append(Encoded& encoded, Encoded part);

/// Where the parts of a stored array are read from.
struct Source {
  ByteReader& description;
  ByteReader& data;
  StreamDecoder* coded = nullptr;  ///< null when the file has no coded stream
  std::string* text = nullptr;     ///< if there, the names of the encodings are added: "palette(coded)"
};

/// Reads the array that fills `out`. Throws Error (as ByteReader does) when the bytes do not describe one.
/// Besides `out` it takes memory of at most 8 times its size and 1 MiB.
void decode(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits, int depth = 1);

// The encodings. Writers return nothing where the encoding does not apply or cannot be the smallest; the kind
// is already in front of what they return. Readers come behind the kind.

Encoded encode_raw(const Array& array);
void decode_raw(Source& source, std::span<std::byte> out);

std::optional<Encoded> encode_deflate(const Array& array);
void decode_deflate(Source& source, std::span<std::byte> out);

std::optional<Encoded> encode_coded(const Array& array);
void decode_coded(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits);

std::optional<Encoded> encode_packed(const Array& array, const Search& search);
void decode_packed(Source& source, std::span<std::byte> out, std::size_t size, int depth);

std::optional<Encoded> encode_palette(const Array& array, const Search& search);
void decode_palette(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                    int depth);

std::optional<Encoded> encode_sparse(const Array& array, const Search& search);
void decode_sparse(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                   int depth);

std::optional<Encoded> encode_gaps(const Array& array, const Search& search);
void decode_gaps(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits, int depth);

std::optional<Encoded> encode_planes(const Array& array, const Search& search);
void decode_planes(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits,
                   int depth);

/// Calls visit with a zero of the unsigned type of `size` bytes.
template <typename Visit>
decltype(auto) with_unsigned(std::size_t size, Visit&& visit) {
  switch (size) {
    case 1:
      return visit(std::uint8_t{});
    case 2:
      return visit(std::uint16_t{});
    case 4:
      return visit(std::uint32_t{});
    default:
      return visit(std::uint64_t{});
  }
}

/// Element `index`, wherever it lies.
template <typename T>
T load(std::span<const std::byte> bytes, std::size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}
template <typename T>
void store(std::span<std::byte> bytes, std::size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

}  // namespace lathe::graph::encoding
