#pragma once

#include <lathe/base/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace lathe::datasets {

/// False when a Huffman table of a JPEG file claims more than the 256 symbols there can be, or is cut off.
/// The decoder writes past its arrays then, so it must not see the file.
bool huffman_tables_fit(std::span<const std::byte> jpeg);

/// Calls visit(marker, content) for the segments of a JPEG file up to the first scan, as far as they are
/// whole, until it returns false.
void visit_segments(std::span<const std::byte> jpeg,
                    FunctionRef<bool(std::uint8_t marker, std::span<const std::byte> content)> visit);

/// False for four colour components of which no Adobe segment says what they are: the decoder would take them
/// for YCbCr with something more, and get the colours wrong.
bool colours_known(std::span<const std::byte> jpeg);

}  // namespace lathe::datasets
