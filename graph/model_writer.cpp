#include "encoding/encoding.h"
#include "model_format.h"

#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace lathe::graph {
namespace {

using namespace model_format;
using encoding::Encoded;

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

/// `derived`: parameters that need not be stored, and the kind that says so.
void write_type(ByteWriter& writer, const Value& value, const std::optional<Quantization>& derived = {},
                Parameters derived_kind = Parameters::derived) {
  auto kind = Parameters::none;
  if (value.quantization) {
    kind = value.quantization == derived           ? derived_kind
           : value.quantization->scale.size() == 1 ? Parameters::tensor
                                                   : Parameters::channels;
  }
  writer.write(
      static_cast<std::uint8_t>(static_cast<unsigned>(value.dtype) | static_cast<unsigned>(kind) << 4));
  if (kind == Parameters::tensor) {
    writer.write(value.quantization->scale[0]);
    write_signed(writer, value.quantization->zero_point);
  }
}

bool has_channels(const Value& value, const std::optional<Quantization>& derived) {
  return value.quantization && value.quantization != derived && value.quantization->scale.size() != 1;
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

/// Traits of all constants by ValueId. The weight of a linear layer behind a flattened image has the image's
/// places.
std::vector<encoding::Traits> all_traits(const Graph& graph) {
  std::vector<encoding::Traits> traits(graph.values().size());
  std::vector<const Shape*> images(graph.values().size());  // of flattened ones
  for (std::size_t id = 0; id < traits.size(); ++id) {
    const Value& value = graph.values()[id];
    if (value.is_constant()) traits[id] = traits_of(value.shape, value.dtype);
  }
  for (const Node& node : graph.nodes()) {
    const auto first = static_cast<std::size_t>(node.inputs[0]);
    const Value& x = graph.values()[first];
    if (std::holds_alternative<Reshape>(node.op) && x.shape.rank() == 4)
      images[static_cast<std::size_t>(node.output)] = &x.shape;
    if (!std::holds_alternative<Linear>(node.op) || images[first] == nullptr) continue;
    const Shape& image = *images[first];
    encoding::Traits& weight = traits[static_cast<std::size_t>(node.inputs[1])];
    weight.step = static_cast<std::uint32_t>(image[3]);
    weight.line = static_cast<std::uint32_t>(image[2] * image[3]);
    weight.stored = image[2] * image[3] < std::numeric_limits<std::int32_t>::max();
  }
  return traits;
}

/// The arrays of a constant as they are stored.
struct StoredConstant {
  std::optional<Encoded> scales;  ///< with a scale for each channel
  Encoded elements;
};

void write_constants(ByteWriter& writer, const Graph& graph, const Derived& derived,
                     std::span<const StoredConstant> stored) {
  writer.varint(stored.size());
  std::size_t index = 0;
  for (std::size_t id = 0; id < graph.values().size(); ++id) {
    const Value& value = graph.values()[id];
    if (!value.is_constant()) continue;
    if (value.name == derived.names[id]) {
      writer.varint(0);
    } else {
      writer.varint(value.name.size() + 1);
      writer.text(value.name);
    }
    write_extents(writer, value.shape.dims());
    write_type(writer, value, derived.parameters[id]);
    const StoredConstant& constant = stored[index++];
    if (constant.scales) writer.append(constant.scales->description.view());
    writer.append(constant.elements.description.view());
  }
}

std::vector<std::byte> graph_section(const Graph& graph, const Derived& derived,
                                     std::span<const StoredConstant> stored) {
  const std::vector<ValueId> numbers = number_values(graph);
  ByteWriter writer;
  writer.varint(graph.inputs().size());
  for (ValueId id : graph.inputs()) {
    const Value& value = graph.value(id);
    write_text(writer, value.name);
    write_extents(writer, value.shape.dims());
    write_type(writer, value);
  }
  write_constants(writer, graph, derived, stored);
  writer.varint(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    write_text(writer, node.name);
    writer.varint(node.op.index());
    std::visit([&](const auto& op) { write_fields(writer, op); }, node.op);
    write_ids(writer, node.inputs, numbers);
    write_type(writer, graph.value(node.output), graph.value(node.inputs[0]).quantization,
               Parameters::operand);
  }
  write_ids(writer, graph.outputs(), numbers);
  return std::move(writer.bytes());
}

/// An array and the encoding that was found for it.
using Store = std::function<Encoded(const encoding::Array&)>;

std::vector<StoredConstant> store_constants(const Graph& graph, const Derived& derived, const Store& store) {
  const std::vector<encoding::Traits> traits = all_traits(graph);
  std::vector<StoredConstant> result;
  for (std::size_t id = 0; id < graph.values().size(); ++id) {
    const Value& value = graph.values()[id];
    if (!value.is_constant()) continue;
    StoredConstant constant;
    if (has_channels(value, derived.parameters[id]))
      constant.scales = store({.bytes = std::as_bytes(std::span(value.quantization->scale)),
                               .size = sizeof(float),
                               .traits = {.real = true}});
    constant.elements =
        store({.bytes = value.data->bytes(), .size = size_of(value.dtype), .traits = traits[id]});
    result.push_back(std::move(constant));
  }
  return result;
}

/// The file, its graph section in the coded stream if `coded`.
std::vector<std::byte> assemble(const Graph& graph, const Derived& derived,
                                std::vector<StoredConstant> stored, bool coded) {
  const std::vector<std::byte> section = graph_section(graph, derived, stored);
  check(section.size() <= std::numeric_limits<std::uint32_t>::max(),
        "model file: the graph takes {} bytes, too many", section.size());
  std::vector<std::byte> stream;
  if (coded) {
    std::vector<encoding::CodedArray> arrays;
    const auto take = [&](Encoded& encoded) {
      std::move(encoded.coded.begin(), encoded.coded.end(), std::back_inserter(arrays));
    };
    for (StoredConstant& constant : stored) {
      if (constant.scales) take(*constant.scales);
      take(constant.elements);
    }
    stream = encoding::encode_stream(section, arrays);
  }
  ByteWriter writer;
  writer.text({kMagic.data(), kMagic.size()});
  writer.write(kVersion);
  writer.write(std::uint32_t{0});  // the checksum, once the rest is there
  writer.varint(section.size());
  writer.varint(stream.size());
  writer.append(coded ? stream : section);
  const auto append = [&](const Encoded& encoded) {
    const auto data = encoded.data.view();
    if (encoded.raw())
      writer.bytes().resize(writer.size() + encoding::padding_before(writer.size(), data.size()));
    writer.append(data);
  };
  for (const StoredConstant& constant : stored) {
    if (constant.scales) append(*constant.scales);
    append(constant.elements);
  }
  const std::uint32_t sum = checksum(writer.view().subspan(kHeaderBytes));
  std::memcpy(writer.bytes().data() + kHeaderBytes - sizeof(sum), &sum, sizeof(sum));
  return std::move(writer.bytes());
}

/// Elements of the constants that are small enough to go through the coded stream together: all those of at
/// most this many. `reserved`: for the graph section.
std::size_t coded_limit(const Graph& graph, std::size_t reserved) {
  std::vector<std::size_t> counts;
  for (const Value& value : graph.values())
    if (value.is_constant()) counts.push_back(static_cast<std::size_t>(value.shape.size()));
  std::ranges::sort(counts);
  std::size_t limit = 0;
  for (std::size_t count : counts) {
    if (reserved + count > encoding::kMaxCoded) break;
    reserved += count;
    limit = count;
  }
  return limit;
}

/// With a coded stream; nothing if the graph is too large for one. `without`: the forms of all arrays without
/// one, in order; `section`: bytes of the plain graph section.
std::optional<std::vector<std::byte>> encode_coded(const Graph& graph, const Derived& derived,
                                                   std::span<const Encoded> without, std::size_t section) {
  const std::size_t reserved =
      section + 32 * without.size();  // descriptions are longer than in the plain form
  if (reserved > encoding::kMaxCoded) return {};
  std::size_t left = encoding::kMaxCoded - reserved;
  const std::size_t limit = coded_limit(graph, reserved);
  const auto models = std::make_unique<encoding::Models>();
  encoding::RangeEncoder scratch;
  std::vector<StoredConstant> stored = store_constants(graph, derived, [&](const encoding::Array& array) {
    const Encoded& uncoded = without.front();
    without = without.subspan(1);
    if (array.count() > limit) return uncoded;
    Encoded result = encoding::Search(*models, left).smallest(array);
    left -= result.coded_count();
    for (encoding::CodedArray coded : result.coded)
      models->array(scratch, coded.bytes, coded.size, coded.traits);
    return result;
  });
  const std::size_t arrays = encoding::kMaxCoded - reserved - left;
  if (graph_section(graph, derived, stored).size() + arrays > encoding::kMaxCoded) return {};
  return assemble(graph, derived, std::move(stored), true);
}

/// May a reader unpack a file of this size?
bool growth_allowed(const Graph& graph, std::size_t file_bytes) {
  std::uint64_t bytes = 0;
  for (const Value& value : graph.values()) {
    if (!value.is_constant()) continue;
    bytes += value.data->bytes().size();
    if (value.quantization) bytes += value.quantization->scale.size() * sizeof(float);
  }
  return bytes <= growth_limit(file_bytes);
}

}  // namespace

std::vector<std::byte> encode(const Graph& graph, const EncodeOptions& options) {
  verify(graph);
  const Derived derived = derive(graph);
  std::vector<StoredConstant> raw = store_constants(graph, derived, encoding::encode_raw);
  const std::size_t section = graph_section(graph, derived, raw).size();
  std::vector<std::byte> best = assemble(graph, derived, std::move(raw), false);
  if (options.form == EncodeOptions::Form::plain) return best;
  bool too_small = false;
  const auto consider = [&](std::vector<std::byte> other) {
    if (!growth_allowed(graph, other.size()))
      too_small = true;
    else if (other.size() < best.size())
      best = std::move(other);
  };
  const auto without_coded = [&](encoding::Search::Among among) {
    std::vector<Encoded> forms;
    consider(assemble(graph, derived,
                      store_constants(graph, derived,
                                      [&](const encoding::Array& array) {
                                        forms.push_back(encoding::Search().smallest(array, among));
                                        return forms.back();
                                      }),
                      false));
    return forms;
  };
  const std::vector<Encoded> forms = without_coded(encoding::Search::Among::all);
  if (auto coded = encode_coded(graph, derived, forms, section)) consider(std::move(*coded));
  // Deflate makes nothing so small that it may not be read.
  if (too_small) without_coded(encoding::Search::Among::bytes);
  return best;
}

void save(const Graph& graph, const std::filesystem::path& path, const EncodeOptions& options) {
  std::vector<std::byte> bytes;
  try {
    bytes = encode(graph, options);
  } catch (const Error& error) {
    fail("cannot write {}: {}", path.string(), error.what());
  }
  write_file(path, bytes);
}

}  // namespace lathe::graph
