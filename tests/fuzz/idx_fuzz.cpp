// Feeds bytes to the reader of IDX files, as they are and gzipped. What it accepts must hold as many values
// as its extents say, and the same ones either way.

#include <lathe/base/error.h>
#include <lathe/datasets/idx.h>

#include <optional>
#include <string>

#include "datasets/idx_files.h"
#include "fuzz.h"

using namespace lathe;

namespace {

std::optional<datasets::IdxArray> parse(std::string_view text, int rank) {
  datasets::IdxArray array;
  try {
    array = datasets::parse_idx(std::as_bytes(std::span(text)), "fuzz", rank);
  } catch (const Error&) {
    return std::nullopt;
  }
  std::uint64_t count = 1;
  for (const std::int64_t extent : array.dims) count *= static_cast<std::uint64_t>(extent);
  fuzz::require(array.dims.size() == static_cast<std::size_t>(rank), "another rank than asked for");
  fuzz::require(array.values.size() == count, "extents and values do not match");
  return array;
}

}  // namespace

std::vector<std::vector<std::byte>> fuzz::seeds() {
  std::vector<std::vector<std::byte>> seeds;
  const std::string images = idx_images(3, 4, 5), labels = idx_labels(7);
  for (const std::string& text :
       {images, labels, gzip(images), gzip(labels), gzip(labels.substr(0, 6)) + gzip(labels.substr(6))}) {
    const auto bytes = std::as_bytes(std::span(text));
    seeds.emplace_back(bytes.begin(), bytes.end());
  }
  return seeds;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string plain(reinterpret_cast<const char*>(data), size);
  const std::string packed = gzip(plain);
  for (const int rank : {1, 3}) {
    const auto read = parse(plain, rank);
    const bool was_packed = plain.size() >= 2 && plain[0] == '\x1F' && plain[1] == '\x8B';
    const auto unpacked = parse(packed, rank);
    if (was_packed)
      fuzz::require(!unpacked, "unpacked twice");
    else
      fuzz::require(read.has_value() == unpacked.has_value() && (!read || read->values == unpacked->values),
                    "plain and gzipped differ");
  }
  return 0;
}
