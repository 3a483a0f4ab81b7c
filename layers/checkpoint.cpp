#include <lathe/base/io.h>
#include <lathe/layers/checkpoint.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

namespace lathe::layers {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";
/// Bounds what a hostile header can make the parser allocate; a thousand tensors take about 0.1 MiB.
constexpr std::uint64_t kMaxHeader = std::uint64_t{16} << 20;
constexpr std::size_t kAlignment = 8;  ///< of the data behind the header

struct DtypeName {
  Dtype dtype;
  std::string_view name;
};
constexpr DtypeName kDtypes[] = {
    {Dtype::f32, "F32"}, {Dtype::f16, "F16"}, {Dtype::i8, "I8"},   {Dtype::u8, "U8"},
    {Dtype::i16, "I16"}, {Dtype::i32, "I32"}, {Dtype::i64, "I64"},
};

std::string_view file_name_of(Dtype dtype) {
  return std::ranges::find(kDtypes, dtype, &DtypeName::dtype)->name;
}

/// Where a tensor lies in the data part of a file.
struct Entry {
  std::string name;
  Dtype dtype = Dtype::f32;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Parses the header into JSON. The parser keeps the last of several equal keys and any depth of nesting;
/// here both are errors.
Json parse_header(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string, std::less<>>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, const Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start)
      check(depth < 3, "{}: the header is nested too deeply", file);
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = value.get_ref<const std::string&>();
      check(keys.back().insert(key).second, "{}: the header has '{}' twice", file, key);
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    fail("{}: the header is not JSON ({})", file, error.what());
  }
}

std::uint64_t to_natural(const Json& value, const std::string& file, const std::string& name,
                         std::string_view what) {
  check(value.is_number_unsigned(), "{}: tensor '{}': {} holds {}, expected a natural number", file, name,
        what, value.dump());
  return value.get<std::uint64_t>();
}

const Json& field(const Json& entry, const char* key, const std::string& file, const std::string& name) {
  const auto found = entry.find(key);
  check(found != entry.end(), "{}: tensor '{}' has no {}", file, name, key);
  return *found;
}

Shape parse_shape(const Json& value, const std::string& file, const std::string& name) {
  check(value.is_array(), "{}: tensor '{}': the shape is not a list", file, name);
  check(value.size() <= Shape::kMaxRank, "{}: tensor '{}' has {} dimensions, at most {} are possible", file,
        name, value.size(), Shape::kMaxRank);
  std::vector<std::int64_t> dims;
  for (const Json& extent : value) {
    const std::uint64_t natural = to_natural(extent, file, name, "the shape");
    check(natural <= std::uint64_t{std::numeric_limits<std::int64_t>::max()},
          "{}: tensor '{}': extent {} is too large", file, name, natural);
    dims.push_back(static_cast<std::int64_t>(natural));
  }
  try {
    return Shape(dims);
  } catch (const Error& error) {
    fail("{}: tensor '{}': {}", file, name, error.what());
  }
}

Entry parse_entry(const std::string& name, const Json& value, const std::string& file,
                  std::uint64_t data_bytes) {
  check(value.is_object(), "{}: tensor '{}' is described by {}, expected an object", file, name,
        value.type_name());
  Entry entry{.name = name};

  const Json& dtype = field(value, "dtype", file, name);
  check(dtype.is_string(), "{}: tensor '{}': the dtype is not a text", file, name);
  const auto known = std::ranges::find(kDtypes, dtype.get_ref<const std::string&>(), &DtypeName::name);
  check(known != std::end(kDtypes),
        "{}: tensor '{}' has the dtype {}, known are F32, F16, I8, U8, I16, I32, I64", file, name,
        dtype.dump());
  entry.dtype = known->dtype;

  entry.shape = parse_shape(field(value, "shape", file, name), file, name);

  const Json& offsets = field(value, "data_offsets", file, name);
  check(offsets.is_array() && offsets.size() == 2, "{}: tensor '{}': data_offsets is not a pair", file, name);
  entry.begin = to_natural(offsets[0], file, name, "data_offsets");
  entry.end = to_natural(offsets[1], file, name, "data_offsets");
  check(entry.begin <= entry.end && entry.end <= data_bytes,
        "{}: tensor '{}' lies at [{},{}), outside the {} bytes of data", file, name, entry.begin, entry.end,
        data_bytes);
  // Compared by division: the product may overflow for a made-up shape.
  const std::uint64_t bytes = entry.end - entry.begin;
  const std::uint64_t element = size_of(entry.dtype);
  check(bytes % element == 0 && bytes / element == static_cast<std::uint64_t>(entry.shape.size()),
        "{}: tensor '{}' has {} bytes, {} elements of shape {} and dtype {} were expected", file, name, bytes,
        entry.shape.size(), to_string(entry.shape), known->name);
  return entry;
}

/// Sorts by place and checks that the tensors fill the data without gap or overlap.
void check_places(std::vector<Entry>& entries, const std::string& file, std::uint64_t data_bytes) {
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.begin, entry.end); });
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    check(entry.begin >= end,
          "{}: tensor '{}' starts at byte {} of the data, inside the one before it, which ends at {}", file,
          entry.name, entry.begin, end);
    check(entry.begin == end, "{}: bytes [{},{}) before tensor '{}' belong to no tensor", file, end,
          entry.begin, entry.name);
    end = entry.end;
  }
  check(end == data_bytes, "{}: bytes [{},{}) at the end belong to no tensor", file, end, data_bytes);
}

std::string describe(const Tensor& tensor) {
  return fmt::format("{}{}", to_string(tensor.dtype()), to_string(tensor.shape()));
}

}  // namespace

void save_safetensors(const Checkpoint& checkpoint, const std::filesystem::path& path) {
  const std::string file = path.string();
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : checkpoint.tensors) {
    check(static_cast<bool>(named.tensor), "cannot write {}: tensor '{}' is empty", file, named.name);
    check(named.name != kMetadata, "cannot write {}: '{}' cannot name a tensor", file, named.name);
    order.push_back(&named);
  }
  // Larger elements first: each tensor is then aligned to its element size, as readers that map the file like
  // it.
  std::ranges::sort(order, {}, [](const NamedTensor* named) {
    return std::pair(-static_cast<int>(size_of(named->tensor.dtype())), std::string_view(named->name));
  });

  Json header = Json::object();
  if (!checkpoint.metadata.empty()) header[std::string(kMetadata)] = checkpoint.metadata;
  std::int64_t offset = 0;
  for (const NamedTensor* named : order) {
    const Tensor& tensor = named->tensor;
    check(!header.contains(named->name), "cannot write {}: two tensors are named '{}'", file, named->name);
    header[named->name] = {{"dtype", file_name_of(tensor.dtype())},
                           {"shape", tensor.shape().dims()},
                           {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& error) {
    fail("cannot write {}: a name or metadata is not UTF-8 text ({})", file, error.what());
  }
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  check(text.size() <= kMaxHeader, "cannot write {}: the header takes {} bytes, at most {} are possible",
        file, text.size(), kMaxHeader);

  AtomicFile out(path);
  ByteWriter length;
  length.write(std::uint64_t{text.size()});
  out.write(length.view());
  out.write(text);
  for (const NamedTensor* named : order) out.write(named->tensor.raw());
  out.commit();
}

Checkpoint load_safetensors(const std::filesystem::path& path) {
  const std::string file = path.string();
  const std::vector<std::byte> bytes = read_file(path);
  ByteReader reader(bytes, file);
  const auto header_bytes = reader.read<std::uint64_t>("header length");
  check(header_bytes <= kMaxHeader,
        "{}: not a safetensors file: the header would have {} bytes, at most {} are possible", file,
        header_bytes, kMaxHeader);
  const Json header = parse_header(reader.text(header_bytes, "header"), file);
  check(header.is_object(), "{}: the header is {}, expected an object", file, header.type_name());
  const std::span<const std::byte> data = reader.take(reader.remaining(), "data");

  Checkpoint checkpoint;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kMetadata) {
      entries.push_back(parse_entry(name, value, file, data.size()));
      continue;
    }
    check(value.is_object(), "{}: {} is not an object", file, kMetadata);
    for (const auto& [key, text] : value.items()) {
      check(text.is_string(), "{}: {} '{}' is not a text", file, kMetadata, key);
      checkpoint.metadata[key] = text.get<std::string>();
    }
  }
  check_places(entries, file, data.size());

  for (const Entry& entry : entries) {
    Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
    std::ranges::copy(data.subspan(entry.begin, entry.end - entry.begin), tensor.mutable_raw().begin());
    checkpoint.tensors.push_back({entry.name, std::move(tensor)});
  }
  return checkpoint;
}

std::vector<NamedTensor> weights(const Module& module) {
  std::vector<NamedTensor> result;
  for (NamedParameter& named : module.parameters())
    result.push_back({std::move(named.name), named.parameter.master()});
  for (NamedTensor& named : module.buffers()) result.push_back(std::move(named));
  return result;
}

void load_weights(Module& module, const std::vector<NamedTensor>& tensors) {
  std::map<std::string_view, const Tensor*> given;
  for (const NamedTensor& named : tensors)
    check(given.emplace(named.name, &named.tensor).second, "load weights: '{}' is given twice", named.name);

  std::vector<NamedTensor> own = weights(module);
  for (const NamedTensor& named : own) {
    const auto found = given.find(named.name);
    check(found != given.end(), "load weights: '{}' {} is missing", named.name, describe(named.tensor));
    check(static_cast<bool>(*found->second), "load weights: '{}' is empty", named.name);
    check(found->second->shape() == named.tensor.shape() && found->second->dtype() == named.tensor.dtype(),
          "load weights: '{}' is {}, the module has {}", named.name, describe(*found->second),
          describe(named.tensor));
  }
  if (given.size() > own.size()) {
    std::set<std::string_view> names;
    for (const NamedTensor& named : own) names.insert(named.name);
    for (const NamedTensor& named : tensors)
      check(names.contains(named.name), "load weights: the module has no '{}' {}", named.name,
            describe(named.tensor));
  }

  for (NamedTensor& named : own)
    std::ranges::copy(given[named.name]->raw(), named.tensor.mutable_raw().begin());
}

void save_weights(const Module& module, const std::string& model_name, const std::filesystem::path& path) {
  save_safetensors({weights(module), {{"model", model_name}}}, path);
}

}  // namespace lathe::layers
