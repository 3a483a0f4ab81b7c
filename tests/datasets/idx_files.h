#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

/// An IDX file as bytes: magic, extents (big-endian), values.
inline std::string idx_bytes(std::vector<std::uint32_t> dims, std::span<const std::uint8_t> values,
                             char type = 8) {
  std::string bytes{'\0', '\0', type, static_cast<char>(dims.size())};
  for (const std::uint32_t dim : dims) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(dim >> shift);
  }
  bytes.append(values.begin(), values.end());
  return bytes;
}

/// `count` images of height x width whose pixels are 0, 1, 2, ... over the whole file.
inline std::string idx_images(std::uint32_t count, std::uint32_t height, std::uint32_t width) {
  std::vector<std::uint8_t> values(std::size_t{count} * height * width);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i);
  return idx_bytes({count, height, width}, values);
}

/// Labels 0, 1, ... 9, 0, ...
inline std::string idx_labels(std::uint32_t count) {
  std::vector<std::uint8_t> values(count);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i % 10);
  return idx_bytes({count}, values);
}

inline std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

inline void put_file(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// A folder with the four files of a data set.
inline void put_data_set(const std::filesystem::path& folder, std::uint32_t train = 30,
                         std::uint32_t test = 20, std::uint32_t height = 5, std::uint32_t width = 4) {
  put_file(folder / "train-images-idx3-ubyte", idx_images(train, height, width));
  put_file(folder / "train-labels-idx1-ubyte", idx_labels(train));
  put_file(folder / "t10k-images-idx3-ubyte", idx_images(test, height, width));
  put_file(folder / "t10k-labels-idx1-ubyte", idx_labels(test));
}
