#include "model_format.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

#include <limits>

namespace lathe::graph {
namespace {

using namespace model_format;

/// Signed numbers so that small ones of either sign are short: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...
void write_signed(ByteWriter& writer, std::int64_t value) {
  writer.varint((static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63));
}

void write_text(ByteWriter& writer, std::string_view text) {
  writer.varint(text.size());
  writer.text(text);
}

void write_extents(ByteWriter& writer, std::span<const std::int64_t> extents) {
  writer.varint(extents.size());
  for (std::int64_t extent : extents) writer.varint(static_cast<std::uint64_t>(extent));
}

void write_field(ByteWriter& writer, int value) { write_signed(writer, value); }
void write_field(ByteWriter& writer, bool value) { writer.write<std::uint8_t>(value); }
void write_field(ByteWriter& writer, float value) { writer.write(value); }
void write_field(ByteWriter& writer, Activation value) { writer.write(static_cast<std::uint8_t>(value)); }
void write_field(ByteWriter& writer, const std::vector<std::int64_t>& value) { write_extents(writer, value); }
void write_field(ByteWriter& writer, Padding value) {
  writer.write(static_cast<std::uint8_t>(value.kind));
  if (value.kind == Padding::Kind::symmetric) write_signed(writer, value.amount);
}

/// The op's number, a bit for each field that differs from the default, and those fields.
template <typename SomeOp>
void write_fields(ByteWriter& writer, const SomeOp& op) {
  const SomeOp plain{};
  std::vector<std::vector<std::byte>> defaults;
  for_each_field(plain, [&](std::string_view, const auto& value) {
    ByteWriter field;
    write_field(field, value);
    defaults.push_back(std::move(field.bytes()));
  });
  std::uint64_t present = 0;
  std::size_t index = 0;
  ByteWriter fields;
  for_each_field(op, [&](std::string_view, const auto& value) {
    ByteWriter field;
    write_field(field, value);
    if (field.bytes() != defaults[index]) {
      present |= std::uint64_t{1} << index;
      fields.append(field.view());
    }
    ++index;
  });
  writer.varint(present);
  writer.append(fields.view());
}

void write_type(ByteWriter& writer, const Value& value, const std::optional<Quantization>& derived = {}) {
  auto kind = Parameters::none;
  if (value.quantization) {
    kind = value.quantization == derived           ? Parameters::derived
           : value.quantization->scale.size() == 1 ? Parameters::tensor
                                                   : Parameters::channels;
  }
  writer.write(
      static_cast<std::uint8_t>(static_cast<unsigned>(value.dtype) | static_cast<unsigned>(kind) << 4));
  if (kind == Parameters::tensor || kind == Parameters::channels)
    for (float scale : value.quantization->scale) writer.write(scale);
  if (kind == Parameters::tensor) write_signed(writer, value.quantization->zero_point);
}

/// Inputs, constants and results of nodes are numbered in this order in a file.
std::vector<ValueId> number_values(const Graph& graph) {
  std::vector<ValueId> numbers(graph.values().size());
  ValueId next = 0;
  for (ValueId id : graph.inputs()) numbers[static_cast<std::size_t>(id)] = next++;
  for (std::size_t id = 0; id < numbers.size(); ++id)
    if (graph.values()[id].is_constant()) numbers[id] = next++;
  for (const Node& node : graph.nodes()) numbers[static_cast<std::size_t>(node.output)] = next++;
  return numbers;
}

void write_ids(ByteWriter& writer, std::span<const ValueId> ids, const std::vector<ValueId>& numbers) {
  writer.varint(ids.size());
  for (ValueId id : ids) writer.varint(static_cast<std::uint64_t>(numbers[static_cast<std::size_t>(id)]));
}

void write_constants(ByteWriter& writer, const Graph& graph) {
  const Derived derived = derive(graph);
  std::vector<std::size_t> constants;
  for (std::size_t id = 0; id < graph.values().size(); ++id)
    if (graph.values()[id].is_constant()) constants.push_back(id);
  writer.varint(constants.size());
  for (std::size_t id : constants) {
    const Value& value = graph.values()[id];
    if (value.name == derived.names[id]) {
      writer.varint(0);
    } else {
      writer.varint(value.name.size() + 1);
      writer.text(value.name);
    }
    write_extents(writer, value.shape.dims());
    write_type(writer, value, derived.parameters[id]);
    writer.write(static_cast<std::uint8_t>(Encoding::raw));
  }
}

std::vector<std::byte> graph_section(const Graph& graph) {
  const std::vector<ValueId> numbers = number_values(graph);
  ByteWriter writer;
  writer.varint(graph.inputs().size());
  for (ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    write_text(writer, value.name);
    write_extents(writer, value.shape.dims());
    write_type(writer, value);
  }
  write_constants(writer, graph);
  writer.varint(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    write_text(writer, node.name);
    writer.varint(node.op.index());
    std::visit([&](const auto& op) { write_fields(writer, op); }, node.op);
    write_ids(writer, node.inputs, numbers);
    write_type(writer, graph.value(node.output));
  }
  write_ids(writer, graph.outputs(), numbers);
  return std::move(writer.bytes());
}

/// `start`: where the section begins in the file.
std::vector<std::byte> data_section(const Graph& graph, std::size_t start) {
  ByteWriter writer;
  for (const Value& value : graph.values()) {
    if (!value.is_constant()) continue;
    const auto bytes = value.data->bytes();
    writer.bytes().resize(writer.size() + padding_before(start + writer.size(), bytes.size()));
    writer.append(bytes);
  }
  return std::move(writer.bytes());
}

}  // namespace

std::vector<std::byte> encode(const Graph& graph) {
  verify(graph);
  const std::vector<std::byte> nodes = graph_section(graph);
  check(nodes.size() <= std::numeric_limits<std::uint32_t>::max(),
        "model file: the graph takes {} bytes, too many", nodes.size());
  const std::vector<std::byte> data = data_section(graph, kHeaderBytes + nodes.size());
  ByteWriter writer;
  writer.text({kMagic.data(), kMagic.size()});
  writer.write(kVersion);
  writer.write(static_cast<std::uint32_t>(nodes.size()));
  writer.write(checksum(nodes));
  writer.write(checksum(data));
  writer.append(nodes);
  writer.append(data);
  return std::move(writer.bytes());
}

void save(const Graph& graph, const std::filesystem::path& path) {
  std::vector<std::byte> bytes;
  try {
    bytes = encode(graph);
  } catch (const Error& error) {
    fail("cannot write {}: {}", path.string(), error.what());
  }
  write_file(path, bytes);
}

}  // namespace lathe::graph
