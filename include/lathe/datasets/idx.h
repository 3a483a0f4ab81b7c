#pragma once

#include <lathe/datasets/dataset.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lathe::datasets {

/// The content of an IDX file of unsigned bytes: `values` holds the product of `dims`, outermost first.
struct IdxArray {
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> values;
};

/// Reads an IDX file (LeCun, the MNIST page), plain or gzipped, from untrusted bytes; `rank` dimensions are
/// expected. Never allocates more than the bytes can hold. Throws Error that begins with `name`.
IdxArray parse_idx(std::span<const std::byte> file, const std::string& name, int rank);

/// Images [N,H,W] and labels [N] from IDX files, plain or gzipped; pixels are scaled to 0..1. Kept as bytes
/// in memory. Throws Error naming the file: missing, truncated, wrong magic, not 8-bit, different numbers of
/// images and labels, a label >= classes. Classes are named "0", "1", ...
DatasetPtr open_idx(const std::filesystem::path& images, const std::filesystem::path& labels,
                    int classes = 10);

}  // namespace lathe::datasets
