#include "small_graphs.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

#include <zlib.h>

#include <algorithm>
#include <cstring>

using namespace lathe;
using namespace lathe::graph;
using small_graphs::every_op;
using small_graphs::numbers;

namespace {

using Bytes = std::vector<std::byte>;

/// Where the parts of the header stand.
constexpr std::size_t kVersion = 6, kSum = 8, kHeader = 12;

constexpr EncodeOptions kPlain{.form = EncodeOptions::Form::plain};

template <typename T>
void put(Bytes& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

/// A checksum that matches, so that what is behind it is reached.
Bytes with_checksum(Bytes bytes) {
  const auto body = std::span(bytes).subspan(kHeader);
  put(bytes, kSum,
      static_cast<std::uint32_t>(
          crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()))));
  return bytes;
}

/// A plain file with this graph section and this data.
Bytes file_of(const ByteWriter& nodes, std::size_t data_bytes = 0) {
  ByteWriter file;
  const Bytes any = encode(small_graphs::real());
  file.append(std::span(any).first(kHeader));
  file.varint(nodes.size());
  file.varint(0);
  file.append(nodes.view());
  file.bytes().resize(file.size() + data_bytes);
  return with_checksum(std::move(file.bytes()));
}

ByteWriter with_bytes(ByteWriter writer, std::initializer_list<int> bytes) {
  for (int byte : bytes) writer.write(static_cast<std::uint8_t>(byte));
  return writer;
}

/// The graph section of a file with one f32 input [1,4], ready for constants.
ByteWriter with_input() { return with_bytes({}, {1, 1, 'x', 2, 1, 4, 0}); }

/// Same nodes, names, constants: ids may differ.
void check_same(const Graph& a, const Graph& b) {
  CHECK(encode(a) == encode(b));
  REQUIRE(a.nodes().size() == b.nodes().size());
  for (std::size_t i = 0; i < a.nodes().size(); ++i) {
    CHECK(to_string(a.nodes()[i].op) == to_string(b.nodes()[i].op));
    CHECK(a.nodes()[i].name == b.nodes()[i].name);
    CHECK(a.value(a.nodes()[i].output).shape == b.value(b.nodes()[i].output).shape);
    CHECK(a.value(a.nodes()[i].output).quantization == b.value(b.nodes()[i].output).quantization);
    REQUIRE(a.nodes()[i].inputs.size() == b.nodes()[i].inputs.size());
    for (std::size_t k = 0; k < a.nodes()[i].inputs.size(); ++k) {
      const Value &x = a.value(a.nodes()[i].inputs[k]), &y = b.value(b.nodes()[i].inputs[k]);
      CHECK(x.name == y.name);
      CHECK(x.dtype == y.dtype);
      CHECK(x.quantization == y.quantization);
      CHECK(x.is_constant() == y.is_constant());
      if (x.is_constant()) CHECK(std::ranges::equal(x.data->bytes(), y.data->bytes()));
    }
  }
}

}  // namespace

TEST_CASE("graphs come back from a file as they were") {
  const TemporaryFolder folder;
  for (const Graph& graph : {small_graphs::real(), small_graphs::integers(), every_op()}) {
    save(graph, folder / "m.lathe");
    check_same(load(folder / "m.lathe"), graph);
  }
  CHECK(
      to_string(load(folder / "m.lathe")).find("batch_norm(activation=relu6, epsilon=1e-05, momentum=0.9)") !=
      std::string::npos);
}

TEST_CASE("the same graph gives the same bytes, and so does what was read") {
  const Bytes bytes = encode(every_op());
  CHECK(encode(every_op()) == bytes);
  CHECK(encode(decode(bytes, "m")) == bytes);
}

TEST_CASE("large constants are aligned in the file, small ones packed") {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, 1});
  const std::vector<float> column = numbers(20000);
  const ValueId weight = graph.add_constant("", {20000, 1}, column);
  graph.set_outputs({graph.add_node(Linear{}, {x, weight}, "wide")});
  const Bytes bytes = encode(graph, kPlain);
  const auto* first = reinterpret_cast<const std::byte*>(column.data());
  const auto place = std::search(bytes.begin(), bytes.end(), first, first + 64) - bytes.begin();
  CHECK(place % 64 == 0);
  check_same(decode(bytes, "m"), graph);
  CHECK(encode(small_graphs::integers(), kPlain).size() <= 210);  // 62 of them weights and biases
}

TEST_CASE("scales of biases and usual names are not stored") {
  Graph graph = small_graphs::integers();
  const std::size_t bytes = encode(graph, kPlain).size();
  graph.value(small_graphs::conv_weight).name = "another";
  CHECK(encode(graph, kPlain).size() == bytes + 7 + 1);  // the size of the section takes another byte
  check_same(decode(encode(graph), "m"), graph);
  const Graph read = decode(encode(small_graphs::integers()), "m");
  CHECK(to_string(read).find("conv.bias i32[2] 2 scales = constant") != std::string::npos);
}

TEST_CASE("a graph that does not verify is not written") {
  const TemporaryFolder folder;
  Graph graph = small_graphs::real();
  graph.value(1).shape = {4, 3, 3, 2};
  CHECK_ERROR(save(graph, folder / "m.lathe"),
              "m.lathe: value 1 conv.weight: constant of f32[4,3,3,2] has 144 bytes");
  CHECK_FALSE(std::filesystem::exists(folder / "m.lathe"));
}

TEST_CASE("files of another kind or version are refused by name") {
  const TemporaryFolder folder;
  CHECK_ERROR(load(folder / "none.lathe"), "none.lathe: No such file");
  write_file(folder / "text.lathe", std::string_view("hello, this is no model"));
  CHECK_ERROR(load(folder / "text.lathe"), "text.lathe: at byte 0: not a lathe model file");
  write_file(folder / "empty.lathe", std::string_view(""));
  CHECK_ERROR(load(folder / "empty.lathe"), "not a lathe model file");
  Bytes bytes = encode(small_graphs::real());
  put<std::uint16_t>(bytes, kVersion, 1);
  CHECK_ERROR(decode(bytes, "m"), "m: at byte 8: version 1 is not known, this program reads version 2");
}

TEST_CASE("a file cut at any byte is refused") {
  for (const Graph& graph : {small_graphs::integers(), small_graphs::real()}) {
    for (const Bytes& bytes : {encode(graph), encode(graph, kPlain)}) {
      for (std::size_t length = 0; length < bytes.size(); ++length) {
        const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
        CHECK_ERROR(decode(part, "cut"), "cut: at byte ");
        if (length >= kHeader) CHECK_ERROR(decode(with_checksum(part), "cut"), "cut");
      }
    }
  }
}

TEST_CASE("a changed byte anywhere is noticed") {
  for (const Bytes& bytes : {encode(small_graphs::integers()), encode(small_graphs::integers(), kPlain)}) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      Bytes changed = bytes;
      changed[i] ^= std::byte{0x10};
      CHECK_ERROR(decode(changed, "changed"), "changed: at byte ");
    }
  }
}

TEST_CASE("a changed byte under a matching checksum is an error or another valid graph") {
  for (const EncodeOptions& options : {kPlain, EncodeOptions{}}) {
    const Bytes bytes = encode(small_graphs::integers(), options);
    int valid = 0, refused = 0;
    for (std::size_t i = kHeader; i < bytes.size(); ++i) {
      for (int value = 0; value < 256; value += options.form == EncodeOptions::Form::plain ? 1 : 51) {
        Bytes changed = bytes;
        changed[i] = static_cast<std::byte>(value);
        try {
          const Graph graph = decode(with_checksum(changed), "changed");
          verify(graph);
          CHECK(decode(encode(graph, kPlain), "again").nodes().size() == graph.nodes().size());
          ++valid;
        } catch (const Error& error) {
          CHECK(std::string_view(error.what()).starts_with("changed"));
          ++refused;
        }
      }
    }
    CHECK(valid > 5);  // other weights are fine
    CHECK(refused > 100);
  }
}

TEST_CASE("counts and sizes beyond the file are refused before anything is allocated") {
  const int huge = 0xFF;
  const auto refused = [](ByteWriter section) { decode(file_of(section), "m"); };
  CHECK_ERROR(refused(with_bytes({}, {huge, huge, huge, huge, 0x7F})),
              "number of inputs: 34359738367 is out of range");
  CHECK_ERROR(refused(with_bytes({}, {1, huge, huge, 0x7F})), "name of an input: 2097151 is out of range");
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 7})), "shape: 7 is out of range, at most 6");
  CHECK_ERROR(refused(with_bytes(with_input(), {huge, huge, 1})),
              "number of constants: 32767 is out of range");
  // A constant of [2^31-1, 2^31-1] f32 without data.
  CHECK_ERROR(refused(with_bytes(with_input(),
                                 {1, 0, 2, huge, huge, huge, huge, 7, huge, huge, huge, huge, 7, 0, 0})),
              "constant f32[2147483647,2147483647] is too large for a file of this size");
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 1, huge, huge, huge, huge, 7, 0, 0})),
              "constant f32[2147483647] is too large for a file of this size");
  CHECK_ERROR(refused(with_bytes(with_input(), {1,    0,    3, huge, huge, huge, huge, 7, huge, huge,
                                                huge, huge, 7, huge, huge, huge, huge, 7, 0,    0})),
              "the number of elements overflows");
  // A scale for each of 2^31-1 channels.
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 1, huge, huge, huge, huge, 7, 0x32})),
              "constant f32[2147483647] is too large for a file of this size");
  // The same in a form that takes no bytes.
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 1, huge, huge, huge, huge, 7, 2, 3, 0, 0, 0})),
              "constant i8[2147483647] is too large for a file of this size");
  CHECK_ERROR(decode(with_checksum(file_of({}, 0)), "m"), "number of inputs");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, huge, 1})), "number of nodes: 255 is out of range");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 0, huge, 1})), "operands: 255 is out of range");
}

TEST_CASE("numbers that name nothing are refused") {
  const auto refused = [](ByteWriter section) { decode(file_of(section), "m"); };
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 1, 1, 7})), "dtype 7 is not known");
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 1, 1, 0x53})), "kind 5 of quantization parameters is not known");
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 1, 1, 0x12})), "for constants only");
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 1, 1, 0x32})), "for constants only");
  CHECK_ERROR(refused(with_bytes({}, {1, 0, 1, 1, 0x42})), "an input has no operand");
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 1, 1, 0x42})), "a constant has no operand");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 0, 0, 0x40})), "a node without operands");
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 0, 0x32, 0})), "a scalar has no channels");
  CHECK_ERROR(refused(with_bytes(with_input(), {1, 0, 1, 1, 0, 9})), "encoding 9 is not known");
  constexpr auto kOps = static_cast<unsigned char>(std::variant_size_v<Op>);
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, kOps})),
              fmt::format("op: {} is out of range, at most {}", kOps, kOps - 1));
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 2})),
              "fields of an op: 2 is out of range, at most 1");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 1, 5})), "activation: 5 is not known");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 2, 16, 3})), "padding: 3 is not known");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 2, 1, 0x80, 0x80, 0x80, 0x80, 0x20})),
              "kernel_h: 4294967296 is out of range");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 0, 1, 1, 0, 1, 1})),
              "operands: there is no value 1 yet");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 1, 'a', 1, 0, 1, 0, 0, 1, 1})),
              "a: linear: takes 2 to 3 inputs");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 6, 0, 1, 0, 0, 1, 2})),
              "outputs: there is no value 2 yet");
}

TEST_CASE("what is left over is refused") {
  const auto section = [] { return with_bytes(with_input(), {0, 1, 0, 6, 0, 1, 0, 0, 1, 1}); };
  CHECK(decode(file_of(section()), "m").nodes().size() == 1);
  CHECK_ERROR(decode(file_of(with_bytes(section(), {0})), "m"), "1 bytes too many in the graph");
  CHECK_ERROR(decode(file_of(section(), 3), "m"), "3 bytes too many after the constants");
}

TEST_CASE("what is read passes the verifier") {
  const auto refused = [](ByteWriter section) { decode(file_of(section), "m"); };
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 0, 1, 5})), "there is no value 5 yet");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 0, 0})), "at least one input and one output");
  CHECK_ERROR(refused(with_bytes(with_input(), {0, 1, 0, 16, 0, 1, 0, 0, 1, 1})), "is for training only");
  // A bias by itself has nothing to derive its scale from.
  CHECK_ERROR(decode(file_of(with_bytes(with_input(), {1, 0, 1, 1, 0x15, 0, 0, 1, 0}), 4), "m"),
              "i32 must have quantization parameters");
}
