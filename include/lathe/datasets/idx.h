#pragma once

#include <lathe/datasets/dataset.h>

#include <filesystem>

namespace lathe::datasets {

/// Images and labels from IDX files (LeCun, the MNIST page), plain or gzipped; pixels are scaled to 0..1. Kept as bytes in
/// memory. Throws Error naming the file: missing, truncated, wrong magic, not 8-bit, different numbers of images and labels,
/// a label >= classes.
DatasetPtr open_idx(const std::filesystem::path& images, const std::filesystem::path& labels, int classes = 10);

}  // namespace lathe::datasets
