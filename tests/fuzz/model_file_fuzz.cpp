// Feeds bytes to the reader of model files, as they are and with matching checksums. Whatever it accepts must
// verify, print, run through shapes at another batch size and be the same graph after being written and read
// again.

#include "fuzz.h"
#include "graph/small_graphs.h"

#include <lathe/base/error.h>
#include <lathe/graph/model_file.h>

#include <zlib.h>

#include <cstring>

using namespace lathe;

namespace {

constexpr std::size_t kHeaderBytes = 20;

void read_model(std::span<const std::byte> bytes) {
  graph::Graph graph;
  try {
    graph = graph::decode(bytes, "fuzz");
  } catch (const Error&) {
    return;
  }
  // From here on an Error is a failure: nothing catches it.
  const std::vector<std::byte> again = graph::encode(graph);
  const graph::Graph second = graph::decode(again, "again");
  fuzz::require(graph::encode(second) == again, "a model changed when it was written again");
  fuzz::require(graph::to_string(second).size() > 0 && graph::count_flops(second) >= 0,
                "a model cannot be printed");
}

std::uint32_t crc(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

/// Makes the checksums match, else hardly any change would reach the code behind them.
void repair(std::vector<std::byte>& bytes) {
  if (bytes.size() < kHeaderBytes) return;
  std::uint32_t graph_bytes = 0;
  std::memcpy(&graph_bytes, bytes.data() + 8, 4);
  const auto body = std::span(bytes).subspan(kHeaderBytes);
  if (graph_bytes > body.size()) {
    graph_bytes = static_cast<std::uint32_t>(body.size());
    std::memcpy(bytes.data() + 8, &graph_bytes, 4);
  }
  const std::uint32_t sums[] = {crc(body.first(graph_bytes)), crc(body.subspan(graph_bytes))};
  std::memcpy(bytes.data() + 12, sums, 8);
}

}  // namespace

std::vector<std::vector<std::byte>> fuzz::seeds() {
  return {graph::encode(small_graphs::real()), graph::encode(small_graphs::integers()),
          graph::encode(small_graphs::every_op())};
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_model(bytes);
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  repair(repaired);
  read_model(repaired);
  return 0;
}
