// The encodings of arrays, one by one: private headers of graph/, linked openly.
#include "encoding/encoding.h"
#include "encoding/bits.h"
#include "support/errors.h"

#include <lathe/base/random.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

using namespace lathe;
using namespace lathe::graph::encoding;

namespace {

using Bytes = std::vector<std::byte>;
constexpr std::size_t kNoLimit = kMaxCoded;

template <typename T>
Bytes bytes_of(const std::vector<T>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

/// Arrays of all sorts that encodings may meet, of elements of T.
template <typename T>
std::vector<Bytes> arrays(std::uint64_t seed) {
  Rng rng(seed);
  std::vector<Bytes> result;
  for (std::size_t count : {0, 1, 2, 7, 64, 600}) {
    const auto make = [&](const std::function<double(std::size_t)>& number) {
      std::vector<T> numbers(count);
      for (std::size_t i = 0; i < count; ++i) {
        if constexpr (std::is_integral_v<T>)
          numbers[i] = static_cast<T>(static_cast<std::int64_t>(number(i)));
        else
          numbers[i] = static_cast<T>(number(i));
      }
      result.push_back(bytes_of(numbers));
    };
    make([](std::size_t) { return 0; });
    make([](std::size_t) { return -7; });
    make([](std::size_t i) { return static_cast<double>(i); });
    make([&](std::size_t) { return rng.normal() * 30; });
    make([&](std::size_t) { return rng.below(10) > 0 ? 0 : rng.normal() * 30; });
    make([&](std::size_t) { return rng.below(500) > 0 ? 0 : 1 + rng.below(100); });
    make([&](std::size_t) { return std::round(rng.normal()) * 8; });
    make([&](std::size_t) { return rng.below(3) > 0 ? 0 : std::round(rng.normal() * 2) * 9; });
    make([](std::size_t i) { return i % 16 == 0 ? 5 : 6; });
    Bytes random(count * sizeof(T));
    for (std::byte& byte : random) byte = static_cast<std::byte>(rng.below(256));
    result.push_back(random);
  }
  return result;
}

/// Writes a form out as a file would and reads it back.
Bytes read_back(const Encoded& encoded, std::size_t bytes, std::size_t size, const Traits& traits,
                std::string* text = nullptr) {
  const Bytes stream = encode_stream({}, encoded.coded);
  StreamDecoder coded(stream);
  ByteReader description(encoded.description.view(), "description"), data(encoded.data.view(), "data");
  Source source{.description = description, .data = data, .coded = &coded, .text = text};
  Bytes out(bytes, std::byte{0xA5});
  decode(source, out, size, traits);
  CHECK(description.remaining() == 0);
  CHECK(data.remaining() == 0);
  CHECK(coded.complete());
  CHECK_FALSE(coded.overrun());
  return out;
}

std::string kinds_of(const Encoded& encoded, std::size_t bytes, std::size_t size, const Traits& traits = {}) {
  std::string text;
  read_back(encoded, bytes, size, traits, &text);
  return text;
}

/// All encodings by themselves and the best of them, with and without a coded stream.
void check_all(const Bytes& bytes, std::size_t size, const Traits& traits) {
  const Array array{.bytes = bytes, .size = size, .traits = traits};
  const Models models;
  for (const Search& search : {Search(), Search(models, kNoLimit)}) {
    std::vector<std::optional<Encoded>> forms{encode_raw(array),
                                              encode_deflate(array),
                                              encode_packed(array, search),
                                              encode_palette(array, search),
                                              encode_planes(array, search),
                                              encode_sparse(array, search),
                                              encode_gaps(array, search),
                                              encode_coded(array)};
    for (auto among : {Search::Among::all, Search::Among::dense, Search::Among::simple, Search::Among::bytes})
      forms.push_back(search.smallest(array, among));
    for (const auto& form : forms)
      if (form) CHECK(read_back(*form, bytes.size(), size, traits) == bytes);
    CHECK(forms.back()->data.size() <= bytes.size());
  }
}

/// A description made by hand, read with 16 bytes of data 0, 1, 2, ...
void read_hostile(std::initializer_list<int> description_bytes, std::size_t elements, std::size_t size,
                  std::size_t data_bytes = 16) {
  Bytes description, data(data_bytes);
  for (int byte : description_bytes) description.push_back(static_cast<std::byte>(byte));
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i);
  ByteReader description_reader(description, "description"), data_reader(data, "data");
  Source source{.description = description_reader, .data = data_reader};
  Bytes out(elements * size);
  decode(source, out, size, {});
}

constexpr int kRaw = 0, kDeflate = 1, kCoded = 2, kPacked = 3, kPalette = 4, kSparse = 5, kGaps = 6,
              kPlanes = 7;

}  // namespace

TEST_CASE("every array comes back from every encoding") {
  const Traits image{.row = 20, .step = 4, .line = 12};
  for (const Bytes& bytes : arrays<std::int8_t>(1)) check_all(bytes, 1, {}), check_all(bytes, 1, image);
  for (const Bytes& bytes : arrays<std::int16_t>(2))
    check_all(bytes, 2, {}), check_all(bytes, 2, {.real = true});
  for (const Bytes& bytes : arrays<std::int32_t>(3)) check_all(bytes, 4, {});
  for (const Bytes& bytes : arrays<std::int64_t>(4)) check_all(bytes, 8, {});
  for (const Bytes& bytes : arrays<float>(5)) check_all(bytes, 4, {.real = true});
}

TEST_CASE("numbers that are none keep their bits") {
  std::vector<float> odd{0.f,
                         -0.f,
                         std::numeric_limits<float>::infinity(),
                         -std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::quiet_NaN(),
                         std::bit_cast<float>(0xFFC12345U),
                         std::bit_cast<float>(0x7F800001U),
                         std::numeric_limits<float>::denorm_min(),
                         std::numeric_limits<float>::max()};
  for (int i = 0; i < 5; ++i) odd.insert(odd.end(), odd.begin(), odd.begin() + 9);
  check_all(bytes_of(odd), 4, {.real = true});
}

TEST_CASE("the smallest form is the one that fits the numbers") {
  Rng rng(1);
  const Models models;
  const Search plain, search(models, kNoLimit);
  std::vector<std::int8_t> numbers(4096);
  const auto smallest = [&](const Search& by) {
    const Bytes bytes = bytes_of(numbers);
    return kinds_of(by.smallest({.bytes = bytes}), bytes.size(), 1);
  };
  CHECK(smallest(plain) == "packed()");  // all zero: width 0
  for (auto& n : numbers) n = static_cast<std::int8_t>(rng.below(256));
  CHECK(smallest(plain) == "raw");
  for (auto& n : numbers) n = static_cast<std::int8_t>(std::clamp(rng.normal() * 20, -127.f, 127.f));
  CHECK(smallest(plain) == "deflate");
  CHECK(smallest(search) == "coded");
  for (auto& n : numbers) n = static_cast<std::int8_t>(rng.below(5) > 0 ? 0 : rng.normal() * 40);
  CHECK(smallest(plain) == "gaps(deflate raw)");
  CHECK(smallest(search) == "coded");
  for (auto& n : numbers) n = static_cast<std::int8_t>(rng.below(200) > 0 ? 0 : rng.below(256));
  CHECK(smallest(plain).starts_with("gaps("));
  for (auto& n : numbers) n = static_cast<std::int8_t>(static_cast<int>(rng.below(8)) * 31 - 127);
  CHECK(smallest(plain) == "palette(raw packed(raw))");
  CHECK(smallest(search) == "palette(raw packed(raw))");  // all alike often: nothing to be predicted

  std::vector<float> reals(1000);
  for (float& r : reals) r = rng.normal();
  const Bytes bytes = bytes_of(reals);
  const Array array{.bytes = bytes, .size = 4, .traits = {.real = true}};
  CHECK(kinds_of(plain.smallest(array), bytes.size(), 4, array.traits) == "planes(raw raw raw deflate)");
  CHECK(kinds_of(search.smallest(array), bytes.size(), 4, array.traits) == "planes(raw raw raw coded)");
  for (float& r : reals) r = rng.below(2) == 0 ? 0.f : r;
  const Bytes half = bytes_of(reals);
  CHECK(kinds_of(plain.smallest({.bytes = half, .size = 4, .traits = {.real = true}}), half.size(), 4,
                 array.traits) == "sparse(packed(raw) planes(raw raw raw deflate))");
}

TEST_CASE("weights in half precision take little more than their mantissas") {
  // Bell-shaped, cut to 11 significant bits: 10 bits of mantissa and a sign are noise, the exponent takes
  // some 2 bits.
  Rng rng(8);
  std::vector<std::uint16_t> halves(4000);
  for (std::uint16_t& half : halves) {
    const auto bits = std::bit_cast<std::uint32_t>(0.05f * rng.normal());
    const auto exponent = static_cast<int>(bits >> 23 & 255) - 127 + 15;
    half = exponent <= 0
               ? std::uint16_t{0}
               : static_cast<std::uint16_t>((bits >> 16 & 0x8000) | static_cast<unsigned>(exponent) << 10 |
                                            (bits >> 13 & 0x3FF));
  }
  const Models models;
  const Bytes bytes = bytes_of(halves);
  const Array array{.bytes = bytes, .size = 2, .traits = {.real = true}};
  const Encoded coded = Search(models, kNoLimit).smallest(array), plain = Search().smallest(array);
  CHECK(kinds_of(coded, bytes.size(), 2, array.traits) == "planes(raw coded)");
  CHECK(kinds_of(plain, bytes.size(), 2, array.traits) == "planes(raw deflate)");
  const std::size_t coded_bytes = coded.data.size() + encode_stream({}, coded.coded).size();
  CHECK(coded_bytes < bytes.size() * 14 / 16);
  CHECK(plain.data.size() < bytes.size() * 14 / 16);
}

TEST_CASE("packing drops bits that are zero in all and what all have in common") {
  const Search search;
  std::vector<float> scales;  // 8 significant bits, exponents of two octaves
  for (int i = 0; i < 64; ++i) scales.push_back(std::ldexp(static_cast<float>(128 + i), i % 2 - 14));
  const Bytes bytes = bytes_of(scales);
  const Encoded packed = *encode_packed({.bytes = bytes, .size = 4}, search);
  CHECK(packed.data.size() == 64 * 8 / 8);  // 7 bits of mantissa, 1 of exponent
  const Bytes ends = bytes_of(std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min(), 0});
  CHECK(encode_packed({.bytes = ends, .size = 8}, search)->data.size() == 1);
}

TEST_CASE("the coded stream comes near the entropy") {
  Rng rng(3);
  Bytes bits(20000);
  for (std::byte& bit : bits) bit = static_cast<std::byte>(rng.below(10) == 0);  // 0.469 bits each
  const Encoded coded = *encode_coded({.bytes = bits, .traits = {.values = {0, 127}}});
  const std::size_t size = encode_stream({}, coded.coded).size();
  CHECK(size < 1173 * 1.03);
  CHECK(size > 1173 * 0.97);
}

TEST_CASE("weights that resemble their neighbours take less") {
  Rng rng(4);
  Bytes smooth;
  for (int row = 0; row < 40; ++row) {
    double last = 0;
    for (int place = 0; place < 60; ++place) {
      last = 0.9 * last + 12 * static_cast<double>(rng.normal());
      smooth.push_back(static_cast<std::byte>(static_cast<std::int8_t>(std::clamp(last, -127., 127.))));
    }
  }
  Bytes shuffled = smooth;
  for (std::size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[rng.below(i)]);
  const auto size = [](const Bytes& bytes) {
    return encode_stream({}, encode_coded({.bytes = bytes, .traits = {.row = 60, .step = 1}})->coded).size();
  };
  CHECK(size(smooth) < 0.93 * static_cast<double>(size(shuffled)));
}

TEST_CASE("the coded stream is the same on every machine") {
  Bytes numbers, text;
  Rng rng(5);
  for (int i = 0; i < 2000; ++i)
    numbers.push_back(static_cast<std::byte>(static_cast<std::int8_t>(rng.normal() * 25)));
  for (char c : std::string_view("conv1 conv2 linear conv1 conv2 linear"))
    text.push_back(static_cast<std::byte>(c));
  std::vector<CodedArray> arrays{{.bytes = numbers, .traits = {.row = 50, .step = 5, .line = 25}},
                                 {.bytes = numbers, .size = 4},
                                 {.bytes = numbers, .size = 8}};
  const Bytes stream = encode_stream(text, arrays);
  std::uint64_t hash = 0;
  for (std::byte byte : stream) hash = hash_bits(hash ^ static_cast<std::uint64_t>(byte));
  CHECK(stream.size() == 5584);
  CHECK(hash == 9195024042443604388U);
  StreamDecoder decoder(stream);
  Bytes out(text.size());
  REQUIRE(decoder.text(out));
  CHECK(out == text);
  for (const CodedArray& array : arrays) {
    out.assign(array.bytes.size(), std::byte{});
    REQUIRE(decoder.array(out, array.size, array.traits));
    CHECK(out == array.bytes);
  }
  CHECK(decoder.position() <= static_cast<double>(stream.size()));
  CHECK(decoder.complete());
}

TEST_CASE("an arithmetic code of any probabilities comes back") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    RangeEncoder encoder;
    std::vector<std::pair<bool, std::uint32_t>> bits;
    for (std::uint64_t i = rng.below(300); i > 0; --i) {
      const std::uint32_t one = rng.below(3) == 0   ? 1
                                : rng.below(2) == 0 ? 65535
                                                    : 1 + static_cast<std::uint32_t>(rng.below(65535));
      bits.emplace_back(rng.below(65536) < one, one);
      encoder.bit(bits.back().first, one);
    }
    const double size = encoder.size();
    const Bytes bytes = encoder.finish();
    CHECK(static_cast<double>(bytes.size()) <= size + 1);
    RangeDecoder decoder(bytes);
    for (const auto& [bit, one] : bits) REQUIRE(decoder.bit(false, one) == bit);
    CHECK(decoder.size() == doctest::Approx(size));
    CHECK(decoder.complete());
    CHECK_FALSE(decoder.overrun());
  }
}

TEST_CASE("numbers of any width come back from their bits") {
  Rng rng(6);
  std::vector<std::pair<std::uint64_t, int>> numbers;
  BitWriter writer;
  for (int i = 0; i < 500; ++i) {
    const int width = static_cast<int>(rng.below(65));
    const std::uint64_t any = std::uint64_t{rng.next()} << 32 | rng.next();
    numbers.emplace_back(width == 0 ? 0 : any >> (64 - width), width);
    writer.write(numbers.back().first, width);
  }
  const Bytes bytes = writer.finish();
  BitReader reader(bytes);
  for (const auto& [number, width] : numbers) REQUIRE(reader.read(width) == number);
  CHECK(reader.clean());
}

TEST_CASE("descriptions that cannot be are refused") {
  CHECK_ERROR(read_hostile({}, 4, 1), "description: at byte 0: encoding");
  CHECK_ERROR(read_hostile({8}, 4, 1), "encoding 8 is not known");
  CHECK_ERROR(read_hostile({kRaw}, 17, 1), "data: at byte 0: numbers");
  CHECK_ERROR(read_hostile({kDeflate, 17}, 4, 1), "size of a deflate stream: 17 is out of range");
  CHECK_ERROR(read_hostile({kDeflate, 16}, 4, 1), "a deflate stream does not give the 4 bytes expected");
  CHECK_ERROR(read_hostile({kCoded, 0}, 4, 1), "the file has no coded stream");
  CHECK_ERROR(read_hostile({kPacked, 1, 8, 0, kRaw}, 4, 1), "8 bits shifted by 1 are too many for 1 bytes");
  CHECK_ERROR(read_hostile({kPacked, 0, 40, 0, 0, 0, 0, kRaw}, 4, 4), "40 bits shifted by 0 are too many");
  CHECK_ERROR(read_hostile({kPalette, 0x81, 2}, 4, 1), "size of a palette: 257 is out of range");
  CHECK_ERROR(read_hostile({kPalette, 3, kRaw, kRaw}, 5, 1), "index 3 into a palette of 3");
  CHECK_ERROR(read_hostile({kPalette, 0, kRaw, kRaw}, 5, 1), "index 0 into a palette of 0");
  CHECK_ERROR(read_hostile({kSparse, kRaw, kRaw}, 5, 1), "2 is no flag");
  CHECK_ERROR(read_hostile({kSparse, kPacked, 0, 0, 1, kRaw}, 17, 1), "data: at byte 0: numbers");
  CHECK_ERROR(read_hostile({kGaps, 5, kRaw, kRaw}, 4, 1), "number of gaps: 5 is out of range");
  CHECK_ERROR(read_hostile({kGaps, 4, kRaw, kRaw}, 5, 1), "a gap ends behind the last of 5 elements");
  CHECK_ERROR(read_hostile({kPlanes, kRaw}, 4, 1), "bytes have no planes");
  CHECK_ERROR(read_hostile({kPlanes, kRaw, kRaw, kRaw, kRaw}, 5, 4), "data: at byte 15: numbers");
  CHECK_ERROR(read_hostile({kSparse, kSparse, kSparse, kSparse, kRaw, kRaw, kRaw, kRaw, kRaw}, 4, 1),
              "encodings are nested too deep");
}

TEST_CASE("bits behind the last packed number must be zero") {
  read_hostile({kPacked, 0, 4, 0, kRaw}, 2, 1);  // the first byte is 0
  const Bytes description{std::byte{kPacked}, std::byte{0}, std::byte{4}, std::byte{0}, std::byte{kRaw}};
  const Bytes data{std::byte{0x1F}};
  ByteReader description_reader(description, "description"), data_reader(data, "data");
  Source source{.description = description_reader, .data = data_reader};
  Bytes out(1);
  CHECK_ERROR(decode(source, out, 1, {}), "bits behind the last of packed numbers are not zero");
}

TEST_CASE("a coded stream gives a limited number of elements, whatever it holds") {
  const Bytes stream(8);
  StreamDecoder decoder(stream);
  Bytes out(kMaxCoded / 2);
  CHECK(decoder.array(out, 1, {}));
  CHECK(decoder.text(out));
  CHECK_FALSE(decoder.text(std::span(out).first(1)));
  CHECK_FALSE(decoder.array(std::span(out).first(1), 1, {}));
}

TEST_CASE("any bytes decode to something or are refused") {
  Rng rng(7);
  int fine = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes description(1 + rng.below(24)), data(rng.below(64)), stream(rng.below(64));
    for (Bytes* bytes : {&description, &data, &stream})
      for (std::byte& byte : *bytes) byte = static_cast<std::byte>(rng.below(rng.below(2) == 0 ? 8 : 256));
    ByteReader description_reader(description, "description"), data_reader(data, "data");
    StreamDecoder coded(stream);
    Source source{.description = description_reader, .data = data_reader, .coded = &coded};
    const std::size_t size = std::size_t{1} << rng.below(4);
    Bytes out(size * rng.below(40));
    try {
      decode(source, out, size,
             {.real = size == 4, .row = static_cast<std::uint32_t>(rng.below(10)), .step = 3});
      ++fine;
    } catch (const Error&) {
    }
  }
  CHECK(fine > 100);
}
