// Feeds bytes to the reader of model files, as they are and with matching checksums. Whatever it accepts must
// verify, print, run through shapes at another batch size and be the same graph after being written and read
// again.

#include "fuzz.h"
#include "graph/small_graphs.h"
#include "graph/synthetic_models.h"

#include <lathe/base/error.h>
#include <lathe/graph/model_file.h>

#include <zlib.h>

#include <cstring>

using namespace lathe;

namespace {

constexpr std::size_t kSum = 8, kHeaderBytes = 12;
constexpr graph::EncodeOptions kPlain{.form = graph::EncodeOptions::Form::plain};

void read_model(std::span<const std::byte> bytes) {
  graph::Graph graph;
  try {
    graph = graph::decode(bytes, "fuzz");
  } catch (const Error&) {
    return;
  }
  // From here on an Error is a failure: nothing catches it.
  const std::vector<std::byte> again = graph::encode(graph, kPlain);
  const graph::Graph second = graph::decode(again, "again");
  fuzz::require(graph::encode(second, kPlain) == again, "a model changed when it was written again");
  fuzz::require(graph::to_string(second).size() > 0 && graph::count_flops(second) >= 0,
                "a model cannot be printed");
  std::uint64_t sum = 0;
  for (const graph::SizeEntry& entry : graph::size_breakdown(bytes, "sizes")) sum += entry.bytes;
  fuzz::require(sum == bytes.size(), "the parts of a file are not its size");
  // Looking for the smallest form takes long: for small models, and not for each.
  if (again.size() > 2000 || (static_cast<unsigned>(again.back()) & 15) != 0) return;
  const std::vector<std::byte> smallest = graph::encode(graph);
  fuzz::require(smallest.size() <= again.size(), "the smallest form is larger than the plain one");
  fuzz::require(graph::encode(graph::decode(smallest, "smallest"), kPlain) == again,
                "a model changed in its smallest form");
}

/// Makes the checksum match, else hardly any change would reach the code behind it.
void repair(std::vector<std::byte>& bytes) {
  if (bytes.size() < kHeaderBytes) return;
  const auto body = std::span(bytes).subspan(kHeaderBytes);
  const auto sum =
      static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size()));
  std::memcpy(bytes.data() + kSum, &sum, sizeof(sum));
}

}  // namespace

std::vector<std::vector<std::byte>> fuzz::seeds() {
  std::vector<std::vector<std::byte>> result;
  for (const graph::Graph& model :
       {small_graphs::real(), small_graphs::integers(), small_graphs::every_op(),
        synthetic_models::dscnn(synthetic_models::Kind::pruned_and_clustered, true)}) {
    result.push_back(graph::encode(model));
    result.push_back(graph::encode(model, kPlain));
  }
  return result;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_model(bytes);
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  repair(repaired);
  read_model(repaired);
  return 0;
}
