#pragma once

#include "encoding/models.h"

#include <lathe/graph/graph.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What writer and reader of the model file share; the layout is described in docs/file-format.md.
namespace lathe::graph::model_format {

inline constexpr std::array<char, 6> kMagic{'L', 'A', 'T', 'H', 'E', '\n'};
inline constexpr std::uint16_t kVersion = 2;
/// Magic, version and checksum.
inline constexpr std::size_t kHeaderBytes = 12;

/// Bytes that the constants of a file may take once decoded: no small file fills the memory.
constexpr std::uint64_t growth_limit(std::uint64_t file_bytes) {
  constexpr std::uint64_t kRatio = 2048, kFree = std::uint64_t{1} << 20, kMost = std::uint64_t{1} << 30;
  return file_bytes + std::min(kRatio * file_bytes + kFree, kMost);
}

/// How the parameters of a value are stored; the high half of its type byte (the low half is the dtype).
/// Never renumber.
enum class Parameters : std::uint8_t {
  none = 0,
  derived = 1,   ///< of a bias: input scale x weight scale
  tensor = 2,    ///< one scale and a zero point
  channels = 3,  ///< a scale for each index of axis 0
  operand = 4,   ///< of an output: those of the first operand
};

/// What need not be stored of constants because their readers tell it; by ValueId.
struct Derived {
  std::vector<std::string> names;  ///< "conv1.weight", or empty
  std::vector<std::optional<Quantization>> parameters;
};
Derived derive(const Graph& graph);

/// What a constant's shape and dtype tell about its elements.
encoding::Traits traits_of(const Shape& shape, Dtype dtype);

/// CRC-32 as zlib computes it.
std::uint32_t checksum(std::span<const std::byte> bytes);

}  // namespace lathe::graph::model_format
