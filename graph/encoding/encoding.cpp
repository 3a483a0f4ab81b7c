#include "encoding.h"

#include <limits>

namespace lathe::graph::encoding {

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::raw:
      return "raw";
    case Kind::deflate:
      return "deflate";
    case Kind::coded:
      return "coded";
    case Kind::packed:
      return "packed";
    case Kind::palette:
      return "palette";
    case Kind::sparse:
      return "sparse";
    case Kind::gaps:
      return "gaps";
    case Kind::planes:
      return "planes";
  }
  return "";
}

std::size_t Encoded::coded_count() const {
  std::size_t count = 0;
  for (const CodedArray& array : coded) count += array.count();
  return count;
}

Encoded begin(Kind kind) {
  Encoded result;
  result.description.varint(static_cast<std::uint8_t>(kind));
  return result;
}

void append(Encoded& encoded, Encoded part) {
  encoded.description.append(part.description.view());
  encoded.data.append(part.data.view());
  std::move(part.coded.begin(), part.coded.end(), std::back_inserter(encoded.coded));
}

double Search::cost(const Encoded& encoded) const {
  const auto bytes = static_cast<double>(encoded.description.size() + encoded.data.size());
  if (encoded.coded.empty()) return bytes;
  if (encoded.coded_count() > left_) return std::numeric_limits<double>::infinity();
  const auto models = std::make_unique<Models>(*models_);
  RangeEncoder encoder;
  for (const CodedArray& array : encoded.coded) {
    std::vector<std::byte> copy = array.bytes;
    models->array(encoder, copy, array.size, array.traits);
  }
  return bytes + encoder.size();
}

Encoded Search::smallest(const Array& array, Among among) const {
  Encoded best = encode_raw(array);
  double bytes = cost(best);
  const auto consider = [&](std::optional<Encoded> other) {
    if (!other) return;
    const double other_bytes = cost(*other);
    if (other_bytes >= bytes) return;
    bytes = other_bytes;
    best = std::move(*other);
  };
  consider(encode_deflate(array));
  if (among == Among::bytes) return best;
  if (array.count() <= left_) consider(encode_coded(array));
  consider(encode_packed(array, *this));
  if (among == Among::simple) return best;
  consider(encode_palette(array, *this));
  consider(encode_planes(array, *this));
  if (among == Among::dense) return best;
  consider(encode_sparse(array, *this));
  consider(encode_gaps(array, *this));
  return best;
}

std::size_t padding_before(std::size_t offset, std::size_t bytes) {
  return bytes < kAlignFrom ? 0 : (kAlignment - offset % kAlignment) % kAlignment;
}

namespace {

void skip_padding(ByteReader& data, std::size_t bytes) {
  for (std::byte padding : data.take(padding_before(data.offset(), bytes), "padding"))
    data.check(padding == std::byte{0}, "padding is not zero");
}

}  // namespace

void decode(Source& source, std::span<std::byte> out, std::size_t size, const Traits& traits, int depth) {
  source.description.check(depth <= kMaxDepth, "encodings are nested too deep");
  const auto number = source.description.read<std::uint8_t>("encoding");
  source.description.check(number <= static_cast<std::uint8_t>(kLastKind), "encoding {} is not known",
                           number);
  const auto kind = static_cast<Kind>(number);
  if (source.text != nullptr) {
    if (!source.text->empty() && source.text->back() != '(') *source.text += ' ';
    *source.text += to_string(kind);
  }
  const bool nested = number >= static_cast<std::uint8_t>(Kind::packed);
  if (nested && source.text != nullptr) *source.text += '(';
  switch (kind) {
    case Kind::raw:
      if (depth == 1) skip_padding(source.data, out.size());
      decode_raw(source, out);
      break;
    case Kind::deflate:
      decode_deflate(source, out);
      break;
    case Kind::coded:
      decode_coded(source, out, size, traits);
      break;
    case Kind::packed:
      decode_packed(source, out, size, depth + 1);
      break;
    case Kind::palette:
      decode_palette(source, out, size, traits, depth + 1);
      break;
    case Kind::sparse:
      decode_sparse(source, out, size, traits, depth + 1);
      break;
    case Kind::gaps:
      decode_gaps(source, out, size, traits, depth + 1);
      break;
    case Kind::planes:
      decode_planes(source, out, size, traits, depth + 1);
      break;
  }
  if (nested && source.text != nullptr) *source.text += ')';
}

}  // namespace lathe::graph::encoding
