#include "encoding.h"

#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <limits>

// The encodings that write numbers: as they are, as a deflate stream, into the coded stream.
namespace lathe::graph::encoding {
namespace {

/// An array shorter than this does not win by a stream of its own.
constexpr std::size_t kMinDeflated = 24;
/// In longer ones the best level finds hardly more than the usual one, in many times the time.
constexpr std::size_t kBestLevelTo = 32768;

std::vector<std::byte> deflate_with(std::span<const std::byte> bytes, int strategy) {
  z_stream stream{};
  constexpr int kRaw = -MAX_WBITS;  // no header and no checksum: the file has its own
  const int level = bytes.size() <= kBestLevelTo ? Z_BEST_COMPRESSION : Z_DEFAULT_COMPRESSION;
  if (deflateInit2(&stream, level, Z_DEFLATED, kRaw, MAX_MEM_LEVEL, strategy) != Z_OK) throw std::bad_alloc();
  std::vector<std::byte> out(deflateBound(&stream, static_cast<uLong>(bytes.size())));
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  [[maybe_unused]] const int result = ::deflate(&stream, Z_FINISH);
  assert(result == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

Encoded encode_raw(const Array& array) {
  Encoded result = begin(Kind::raw);
  result.data.append(array.bytes);
  return result;
}

void decode_raw(Source& source, std::span<std::byte> out) {
  const auto bytes = source.data.take(out.size(), "numbers");
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

/// Of the strategies, Huffman codes alone are the best for most weights, matches for repeated parts.
std::optional<Encoded> encode_deflate(const Array& array) {
  if (array.bytes.size() < kMinDeflated || array.bytes.size() > std::numeric_limits<uInt>::max()) return {};
  std::vector<std::byte> best;
  for (int strategy : {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY}) {
    std::vector<std::byte> bytes = deflate_with(array.bytes, strategy);
    if (best.empty() || bytes.size() < best.size()) best = std::move(bytes);
  }
  if (best.size() >= array.bytes.size()) return {};
  Encoded result = begin(Kind::deflate);
  result.description.varint(best.size());
  result.data.append(best);
  return result;
}

void decode_deflate(Source& source, std::span<std::byte> out) {
  const std::uint64_t size = source.description.varint("size of a deflate stream", source.data.remaining());
  source.description.check(
      size <= std::numeric_limits<uInt>::max() && out.size() <= std::numeric_limits<uInt>::max(),
      "a deflate stream of {} bytes is too large", size);
  const auto bytes = source.data.take(size, "deflate stream");
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = ::inflate(&stream, Z_FINISH);
  const bool exact = result == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
  inflateEnd(&stream);
  source.data.check(exact, "a deflate stream does not give the {} bytes expected", out.size());
}

std::optional<Encoded> encode_coded(const Array& array) {
  if (array.count() == 0) return {};
  Encoded result = begin(Kind::coded);
  if (array.size == 1) {
    const Traits& traits = array.traits;
    result.description.varint(traits.stored ? std::uint64_t{traits.step} + 1 : 0);
    if (traits.stored) result.description.varint(traits.line);
  }
  result.coded.push_back(
      {.bytes{array.bytes.begin(), array.bytes.end()}, .size = array.size, .traits = array.traits});
  return result;
}

void decode_coded(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits) {
  ByteReader& description = source.description;
  description.check(source.coded != nullptr, "the file has no coded stream");
  Traits known = traits;
  constexpr std::uint64_t kMaxStep = std::numeric_limits<std::int32_t>::max();
  const std::uint64_t step = size == 1 ? description.varint("step", kMaxStep) : 0;
  if (step > 0) {
    known.step = static_cast<std::uint32_t>(step - 1);
    known.line = static_cast<std::uint32_t>(description.varint("line", kMaxStep));
  }
  description.check(source.coded->array(out, size, known), "more than {} elements in the coded stream",
                    kMaxCoded);
}

}  // namespace lathe::graph::encoding
