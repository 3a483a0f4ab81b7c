#pragma once

#include <lathe/graph/graph.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What writer and reader of the model file share; the layout is described in docs/file-format.md.
namespace lathe::graph::model_format {

inline constexpr std::array<char, 6> kMagic{'L', 'A', 'T', 'H', 'E', '\n'};
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::size_t kHeaderBytes = 20;

/// Constants of at least this size start at a multiple of kAlignment; padding smaller ones would show in a
/// small file.
inline constexpr std::size_t kAlignFrom = 65536;
inline constexpr std::size_t kAlignment = 64;

/// How the elements of a constant are stored. Never renumber.
enum class Encoding : std::uint8_t { raw = 0 };

/// How the parameters of a value are stored; the high half of its type byte (the low half is the dtype).
/// Never renumber.
enum class Parameters : std::uint8_t {
  none = 0,
  derived = 1,   ///< of a bias: input scale x weight scale
  tensor = 2,    ///< one scale and a zero point
  channels = 3,  ///< a scale for each index of axis 0
};

/// What need not be stored of constants because their readers tell it; by ValueId.
struct Derived {
  std::vector<std::string> names;  ///< "conv1.weight", or empty
  std::vector<std::optional<Quantization>> parameters;
};
Derived derive(const Graph& graph);

/// Bytes to skip so that data of `bytes` may start at `offset`.
std::size_t padding_before(std::size_t offset, std::size_t bytes);

/// CRC-32 as zlib computes it.
std::uint32_t checksum(std::span<const std::byte> bytes);

}  // namespace lathe::graph::model_format
