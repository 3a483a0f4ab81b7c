#include "model_format.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

#include <algorithm>
#include <limits>

namespace lathe::graph {
namespace {

using namespace model_format;

constexpr std::uint64_t kMaxExtent = std::numeric_limits<std::int32_t>::max();

/// Runs `body`; an Error in it is reported with the place in the file.
template <typename Body>
auto located(const ByteReader& reader, Body body) {
  try {
    return body();
  } catch (const Error& error) {
    reader.fail("{}", error.what());
  }
}

/// How many of a list of things that take at least one byte each.
std::size_t read_count(ByteReader& reader, std::string_view what) {
  return reader.varint(what, reader.remaining());
}

std::int64_t read_signed(ByteReader& reader, std::string_view what) {
  const std::uint64_t bits = reader.varint(what);
  return static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
}

int read_int(ByteReader& reader, std::string_view what) {
  const std::int64_t value = read_signed(reader, what);
  reader.check(value >= std::numeric_limits<int>::min() && value <= std::numeric_limits<int>::max(),
               "{}: {} is out of range", what, value);
  return static_cast<int>(value);
}

/// An enum whose last member is `last`.
template <typename Enum>
Enum read_enum(ByteReader& reader, std::string_view what, Enum last) {
  const auto value = reader.read<std::uint8_t>(what);
  reader.check(value <= static_cast<std::uint8_t>(last), "{}: {} is not known", what, value);
  return static_cast<Enum>(value);
}

std::string read_text(ByteReader& reader, std::string_view what) {
  return reader.text(read_count(reader, what), what);
}

std::vector<std::int64_t> read_extents(ByteReader& reader, std::string_view what) {
  std::vector<std::int64_t> extents(reader.varint(what, Shape::kMaxRank));
  for (std::int64_t& extent : extents) extent = static_cast<std::int64_t>(reader.varint(what, kMaxExtent));
  return extents;
}

Shape read_shape(ByteReader& reader) {
  const std::vector<std::int64_t> extents = read_extents(reader, "shape");
  return located(reader, [&] { return Shape(extents); });
}

void read_field(ByteReader& reader, std::string_view what, int& value) { value = read_int(reader, what); }
void read_field(ByteReader& reader, std::string_view what, float& value) { value = reader.read<float>(what); }
void read_field(ByteReader& reader, std::string_view what, bool& value) {
  value = reader.read<std::uint8_t>(what) != 0;
}
void read_field(ByteReader& reader, std::string_view what, Activation& value) {
  value = read_enum(reader, what, Activation::silu);
}
void read_field(ByteReader& reader, std::string_view what, std::vector<std::int64_t>& value) {
  value = read_extents(reader, what);
}
void read_field(ByteReader& reader, std::string_view what, Padding& value) {
  value = {.kind = read_enum(reader, what, Padding::Kind::symmetric)};
  if (value.kind == Padding::Kind::symmetric) value.amount = read_int(reader, what);
}

template <typename SomeOp>
SomeOp read_fields(ByteReader& reader) {
  SomeOp op;
  std::uint64_t fields = 0;
  for_each_field(op, [&](std::string_view, const auto&) { ++fields; });
  std::uint64_t present = reader.varint("fields of an op", (std::uint64_t{1} << fields) - 1);
  for_each_field(op, [&](std::string_view what, auto& value) {
    if (present & 1) read_field(reader, what, value);
    present >>= 1;
  });
  return op;
}

Op read_op(ByteReader& reader) {
  using Read = Op (*)(ByteReader&);
  constexpr auto table = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::array<Read, sizeof...(I)>{
        [](ByteReader& from) -> Op { return read_fields<std::variant_alternative_t<I, Op>>(from); }...};
  }
  (std::make_index_sequence<std::variant_size_v<Op>>());
  const std::uint64_t number = reader.varint("op", table.size() - 1);
  return table[number](reader);
}

struct Type {
  Dtype dtype = Dtype::f32;
  Parameters kind = Parameters::none;
  std::optional<Quantization> quantization;
};

Type read_type(ByteReader& reader, const Shape* shape = nullptr) {
  const auto byte = reader.read<std::uint8_t>("type");
  reader.check((byte & 15) <= static_cast<int>(Dtype::i64), "dtype {} is not known", byte & 15);
  reader.check(byte >> 4 <= static_cast<int>(Parameters::channels),
               "kind {} of quantization parameters is not known", byte >> 4);
  Type type{.dtype = static_cast<Dtype>(byte & 15), .kind = static_cast<Parameters>(byte >> 4)};
  // Only constants have a shape that is read, and only they have parameters by channel or derived ones.
  reader.check(shape != nullptr || type.kind == Parameters::none || type.kind == Parameters::tensor,
               "these quantization parameters are for constants only");
  if (type.kind == Parameters::tensor) {
    const auto scale = reader.read<float>("scale");
    type.quantization = Quantization{{scale}, read_int(reader, "zero point")};
  } else if (type.kind == Parameters::channels) {
    reader.check(shape->rank() >= 1, "a scalar has no channels");
    const auto channels = static_cast<std::uint64_t>((*shape)[0]);
    reader.check(channels <= reader.remaining() / sizeof(float), "scales: {} are needed, {} bytes are left",
                 channels, reader.remaining());
    Quantization quantization;
    for (std::uint64_t i = 0; i < channels; ++i) quantization.scale.push_back(reader.read<float>("scale"));
    type.quantization = std::move(quantization);
  }
  return type;
}

std::vector<ValueId> read_ids(ByteReader& reader, std::size_t values, std::string_view what) {
  std::vector<ValueId> ids(read_count(reader, what));
  for (ValueId& id : ids) {
    const std::uint64_t number = reader.varint(what);
    reader.check(number < values, "{}: there is no value {} yet", what, number);
    id = static_cast<ValueId>(number);
  }
  return ids;
}

void read_inputs(ByteReader& reader, Graph& graph) {
  for (std::size_t count = read_count(reader, "number of inputs"); count > 0; --count) {
    std::string name = read_text(reader, "name of an input");
    const Shape shape = read_shape(reader);
    Type type = read_type(reader);
    const ValueId id = graph.add_input(std::move(name), shape, type.dtype);
    graph.value(id).quantization = std::move(type.quantization);
  }
}

/// The bytes of a constant in the data section.
std::span<const std::byte> take_raw(ByteReader& data, const Shape& shape, Dtype dtype) {
  std::uint64_t bytes = 0;
  const bool overflow =
      __builtin_mul_overflow(static_cast<std::uint64_t>(shape.size()), size_of(dtype), &bytes);
  data.check(!overflow && bytes <= data.remaining(),
             "constant {}{} does not fit into the {} bytes that are left", to_string(dtype), to_string(shape),
             data.remaining());
  for (std::byte padding : data.take(padding_before(data.offset(), bytes), "padding"))
    data.check(padding == std::byte{0}, "padding is not zero");
  return data.take(bytes, "constant");
}

/// What is left to be derived once the nodes are known.
struct Unfinished {
  ValueId id;
  bool name;
  bool parameters;
};

std::vector<Unfinished> read_constants(ByteReader& reader, ByteReader& data, Graph& graph) {
  std::vector<Unfinished> unfinished;
  for (std::size_t count = read_count(reader, "number of constants"); count > 0; --count) {
    const std::uint64_t name_code = read_count(reader, "name of a constant");
    Value value;
    if (name_code > 0) value.name = reader.text(name_code - 1, "name of a constant");
    value.shape = read_shape(reader);
    Type type = read_type(reader, &value.shape);
    value.dtype = type.dtype;
    value.quantization = std::move(type.quantization);
    const auto encoding = reader.read<std::uint8_t>("encoding");
    reader.check(encoding == static_cast<std::uint8_t>(Encoding::raw), "encoding {} is not known", encoding);
    value.data = ConstantData::copy(take_raw(data, value.shape, value.dtype));
    const ValueId id = graph.add_constant(std::move(value));
    if (name_code == 0 || type.kind == Parameters::derived)
      unfinished.push_back(
          {.id = id, .name = name_code == 0, .parameters = type.kind == Parameters::derived});
  }
  return unfinished;
}

void read_nodes(ByteReader& reader, Graph& graph) {
  for (std::size_t count = read_count(reader, "number of nodes"); count > 0; --count) {
    std::string name = read_text(reader, "name of a node");
    Op op = read_op(reader);
    std::vector<ValueId> inputs = read_ids(reader, graph.values().size(), "operands");
    Type type = read_type(reader);
    located(reader, [&] {
      return graph.add_node(std::move(op), std::move(inputs), std::move(name), type.dtype,
                            std::move(type.quantization));
    });
  }
}

void finish(const std::vector<Unfinished>& unfinished, Graph& graph) {
  Derived derived = derive(graph);
  for (const Unfinished& todo : unfinished) {
    const auto index = static_cast<std::size_t>(todo.id);
    if (todo.name) graph.value(todo.id).name = std::move(derived.names[index]);
    if (todo.parameters) graph.value(todo.id).quantization = std::move(derived.parameters[index]);
  }
}

}  // namespace

Graph decode(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader header(bytes, name);
  header.check(bytes.size() >= kMagic.size() &&
                   std::equal(kMagic.begin(), kMagic.end(), reinterpret_cast<const char*>(bytes.data())),
               "not a lathe model file");
  header.take(kMagic.size(), "magic");
  const auto version = header.read<std::uint16_t>("version");
  header.check(version == kVersion, "version {} is not known, this program reads version {}", version,
               kVersion);
  const auto graph_bytes = header.read<std::uint32_t>("size of the graph");
  const auto graph_sum = header.read<std::uint32_t>("checksum of the graph");
  const auto data_sum = header.read<std::uint32_t>("checksum of the constants");
  const auto nodes = header.take(graph_bytes, "graph");
  header.check(checksum(nodes) == graph_sum, "the graph is damaged: its checksum does not match");
  header.check(checksum(bytes.subspan(header.offset())) == data_sum,
               "the constants are damaged or cut off: their checksum does not match");

  ByteReader reader(bytes.first(kHeaderBytes + graph_bytes), name);
  reader.take(kHeaderBytes, "header");
  ByteReader& data = header;
  Graph graph;
  read_inputs(reader, graph);
  const std::vector<Unfinished> unfinished = read_constants(reader, data, graph);
  read_nodes(reader, graph);
  graph.set_outputs(read_ids(reader, graph.values().size(), "outputs"));
  reader.check(reader.remaining() == 0, "{} bytes too many in the graph", reader.remaining());
  data.check(data.remaining() == 0, "{} bytes too many after the constants", data.remaining());
  finish(unfinished, graph);
  located(reader, [&] { verify(graph); });
  return graph;
}

Graph load(const std::filesystem::path& path) { return decode(read_file(path), path.string()); }

}  // namespace lathe::graph
