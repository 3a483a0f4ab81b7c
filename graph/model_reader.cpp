#include "encoding/encoding.h"
#include "model_format.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

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

/// All but scales of channels and what is derived from others.
Type read_type(ByteReader& reader) {
  const auto byte = reader.read<std::uint8_t>("type");
  reader.check((byte & 15) <= static_cast<int>(Dtype::i64), "dtype {} is not known", byte & 15);
  reader.check(byte >> 4 <= static_cast<int>(Parameters::operand),
               "kind {} of quantization parameters is not known", byte >> 4);
  Type type{.dtype = static_cast<Dtype>(byte & 15), .kind = static_cast<Parameters>(byte >> 4)};
  if (type.kind == Parameters::tensor) {
    const auto scale = reader.read<float>("scale");
    type.quantization = Quantization{{scale}, read_int(reader, "zero point")};
  }
  return type;
}

/// Of a value that has no more than one scale.
Type read_activation_type(ByteReader& reader) {
  Type type = read_type(reader);
  reader.check(type.kind != Parameters::channels && type.kind != Parameters::derived,
               "these quantization parameters are for constants only");
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
    Type type = read_activation_type(reader);
    reader.check(type.kind != Parameters::operand, "an input has no operand");
    const ValueId id = graph.add_input(std::move(name), shape, type.dtype);
    graph.value(id).quantization = std::move(type.quantization);
  }
}

/// Notes what the bytes of a file are for.
class Sizes {
 public:
  /// Also counts the padding in front of it.
  void add(SizeEntry entry, std::uint64_t padding = 0) {
    if (padding > 0) entries_.push_back({.part = SizeEntry::Part::padding, .bytes = padding});
    entries_.push_back(std::move(entry));
  }
  /// Whole bytes of the coded stream since the last call, given the bytes used so far.
  std::uint64_t coded(double position) {
    const auto end = std::min(static_cast<std::uint64_t>(std::llround(position)), coded_bytes_);
    return end - std::exchange(coded_end_, std::max(coded_end_, end));
  }
  /// What ends the coded stream counts as graph.
  void add_rest() {
    for (SizeEntry& entry : entries_)
      if (entry.part == SizeEntry::Part::graph) entry.bytes += coded_bytes_ - coded_end_;
  }
  void set_coded_bytes(std::uint64_t bytes) { coded_bytes_ = bytes; }

  std::vector<SizeEntry> finish(const Graph& graph) && {
    ValueId id = static_cast<ValueId>(graph.inputs().size());
    for (SizeEntry& entry : entries_) {
      if (entry.part == SizeEntry::Part::scales || entry.part == SizeEntry::Part::constant)
        entry.name = graph.value(id).name;
      if (entry.part == SizeEntry::Part::constant) ++id;
    }
    return std::move(entries_);
  }

 private:
  std::vector<SizeEntry> entries_;
  std::uint64_t coded_bytes_ = 0, coded_end_ = 0;
};

/// What is left to be derived once the nodes are known.
struct Unfinished {
  ValueId id;
  bool name;
  bool parameters;
};

/// Reads the constants: what is known of them from `reader`, their elements from the data section and the
/// coded stream.
class Constants {
 public:
  Constants(ByteReader& reader, ByteReader& data, encoding::StreamDecoder* coded, std::uint64_t file_bytes,
            Sizes* sizes)
      : source_{.description = reader, .data = data, .coded = coded},
        left_(growth_limit(file_bytes)),
        sizes_(sizes) {}

  std::vector<Unfinished> read(Graph& graph) {
    std::vector<Unfinished> unfinished;
    ByteReader& reader = source_.description;
    for (std::size_t count = read_count(reader, "number of constants"); count > 0; --count) {
      const std::uint64_t name_code = read_count(reader, "name of a constant");
      Value value;
      if (name_code > 0) value.name = reader.text(name_code - 1, "name of a constant");
      value.shape = read_shape(reader);
      Type type = read_type(reader);
      reader.check(type.kind != Parameters::operand, "a constant has no operand");
      value.dtype = type.dtype;
      value.quantization = std::move(type.quantization);
      id_ = static_cast<ValueId>(graph.values().size());
      if (type.kind == Parameters::channels) value.quantization = Quantization{read_scales(value.shape)};
      const std::uint64_t bytes = take(value.shape, value.dtype);
      value.data = ConstantData::make(bytes, [&](std::span<std::byte> out) {
        decode(SizeEntry::Part::constant, out, value.dtype, value.shape, traits_of(value.shape, value.dtype));
      });
      graph.add_constant(std::move(value));
      if (name_code == 0 || type.kind == Parameters::derived)
        unfinished.push_back(
            {.id = id_, .name = name_code == 0, .parameters = type.kind == Parameters::derived});
    }
    return unfinished;
  }

 private:
  /// Bytes of an array, which the limit on what a file may grow to is then less by.
  std::uint64_t take(const Shape& shape, Dtype dtype) {
    std::uint64_t bytes = 0;
    const bool overflow =
        __builtin_mul_overflow(static_cast<std::uint64_t>(shape.size()), size_of(dtype), &bytes);
    source_.description.check(
        !overflow && bytes <= left_,
        "constant {}{} is too large for a file of this size, which may grow by {} bytes yet",
        to_string(dtype), to_string(shape), left_);
    left_ -= bytes;
    return bytes;
  }

  std::vector<float> read_scales(const Shape& shape) {
    source_.description.check(shape.rank() >= 1, "a scalar has no channels");
    const Shape scales{shape[0]};
    std::vector<float> result(take(scales, Dtype::f32) / sizeof(float));
    decode(SizeEntry::Part::scales, std::as_writable_bytes(std::span(result)), Dtype::f32, scales,
           {.real = true});
    return result;
  }

  void decode(SizeEntry::Part part, std::span<std::byte> out, Dtype dtype, const Shape& shape,
              const encoding::Traits& traits) {
    if (sizes_ == nullptr) return encoding::decode(source_, out, size_of(dtype), traits);
    SizeEntry entry{.part = part, .dtype = dtype, .shape = shape};
    source_.text = &entry.encoding;
    const std::uint64_t start = source_.data.offset();
    encoding::decode(source_, out, size_of(dtype), traits);
    const std::uint64_t padding = entry.encoding == "raw" ? encoding::padding_before(start, out.size()) : 0;
    entry.bytes = source_.data.offset() - start - padding;
    if (source_.coded != nullptr) entry.bytes += sizes_->coded(source_.coded->position());
    sizes_->add(std::move(entry), padding);
  }

  encoding::Source source_;
  std::uint64_t left_;
  Sizes* sizes_;
  ValueId id_ = 0;
};

void read_nodes(ByteReader& reader, Graph& graph) {
  for (std::size_t count = read_count(reader, "number of nodes"); count > 0; --count) {
    std::string name = read_text(reader, "name of a node");
    Op op = read_op(reader);
    std::vector<ValueId> inputs = read_ids(reader, graph.values().size(), "operands");
    Type type = read_activation_type(reader);
    if (type.kind == Parameters::operand) {
      reader.check(!inputs.empty(), "a node without operands has no parameters of the first");
      type.quantization = graph.value(inputs[0]).quantization;
    }
    located(reader, [&] {
      return graph.add_node(std::move(op), std::move(inputs), std::move(name), type.dtype,
                            std::move(type.quantization));
    });
  }
}

void finish(const std::vector<Unfinished>& unfinished, Graph& graph) {
  Derived derived = derive(graph);
  for (const Unfinished& value : unfinished) {
    const auto index = static_cast<std::size_t>(value.id);
    if (value.name) graph.value(value.id).name = std::move(derived.names[index]);
    if (value.parameters) graph.value(value.id).quantization = std::move(derived.parameters[index]);
  }
}

/// The sections behind the header. `coded`: null when the graph section is stored as it is.
Graph read_sections(ByteReader& reader, ByteReader& data, encoding::StreamDecoder* coded,
                    std::uint64_t file_bytes, Sizes* sizes) {
  Graph graph;
  read_inputs(reader, graph);
  const std::vector<Unfinished> unfinished = Constants(reader, data, coded, file_bytes, sizes).read(graph);
  read_nodes(reader, graph);
  graph.set_outputs(read_ids(reader, graph.values().size(), "outputs"));
  reader.check(reader.remaining() == 0, "{} bytes too many in the graph", reader.remaining());
  data.check(coded == nullptr || (coded->complete() && !coded->overrun()),
             "the coded stream is longer or shorter than what it stands for");
  data.check(data.remaining() == 0, "{} bytes too many after the constants", data.remaining());
  finish(unfinished, graph);
  located(reader, [&] { verify(graph); });
  return graph;
}

Graph read_model(std::span<const std::byte> bytes, const std::string& name, Sizes* sizes) {
  ByteReader file(bytes, name);
  file.check(bytes.size() >= kMagic.size() &&
                 std::equal(kMagic.begin(), kMagic.end(), reinterpret_cast<const char*>(bytes.data())),
             "not a lathe model file");
  file.take(kMagic.size(), "magic");
  const auto version = file.read<std::uint16_t>("version");
  file.check(version == kVersion, "version {} is not known, this program reads version {}", version,
             kVersion);
  const auto sum = file.read<std::uint32_t>("checksum");
  file.check(checksum(bytes.subspan(kHeaderBytes)) == sum,
             "the file is damaged or cut off: its checksum does not match");
  const std::uint64_t graph_bytes = file.varint("size of the graph");
  const std::uint64_t coded_bytes = file.varint("size of the coded stream", file.remaining());
  const std::uint64_t sections = file.offset();
  if (sizes != nullptr) {
    using Part = SizeEntry::Part;
    const std::uint64_t checksum_bytes = sizeof(sum);
    sizes->add({.part = Part::header, .bytes = sections - checksum_bytes});
    sizes->add({.part = Part::checksum, .bytes = checksum_bytes});
    sizes->set_coded_bytes(coded_bytes);
  }
  if (coded_bytes == 0) {
    file.take(graph_bytes, "graph");
    if (sizes != nullptr)
      sizes->add({.part = SizeEntry::Part::graph, .encoding = "raw", .bytes = graph_bytes});
    ByteReader reader(bytes.first(sections + graph_bytes), name);
    reader.take(sections, "header");
    return read_sections(reader, file, nullptr, bytes.size(), sizes);
  }
  encoding::StreamDecoder coded(file.take(coded_bytes, "coded stream"));
  file.check(graph_bytes <= encoding::kMaxCoded, "a coded graph of {} bytes is too large", graph_bytes);
  std::vector<std::byte> section(graph_bytes);
  coded.text(section);
  if (sizes != nullptr)
    sizes->add(
        {.part = SizeEntry::Part::graph, .encoding = "coded", .bytes = sizes->coded(coded.position())});
  ByteReader reader(section, name + ", graph");
  Graph graph = read_sections(reader, file, &coded, bytes.size(), sizes);
  if (sizes != nullptr) sizes->add_rest();
  return graph;
}

}  // namespace

Graph decode(std::span<const std::byte> bytes, const std::string& name) {
  return read_model(bytes, name, nullptr);
}

std::vector<SizeEntry> size_breakdown(std::span<const std::byte> bytes, const std::string& name) {
  Sizes sizes;
  const Graph graph = read_model(bytes, name, &sizes);
  return std::move(sizes).finish(graph);
}

Graph load(const std::filesystem::path& path) { return decode(read_file(path), path.string()); }

}  // namespace lathe::graph
