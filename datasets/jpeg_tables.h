#pragma once

#include <cstddef>
#include <span>

namespace lathe::datasets {

/// False when a Huffman table of a JPEG file claims more than the 256 symbols there can be, or is cut off. The
/// decoder writes past its arrays then, so it must not see the file.
bool huffman_tables_fit(std::span<const std::byte> jpeg);

}  // namespace lathe::datasets
