// Whole model files in their smallest form.
#include "small_graphs.h"
#include "support/errors.h"
#include "synthetic_models.h"

#include <lathe/graph/model_file.h>

#include <bit>
#include <limits>
#include <map>
#include <numeric>

using namespace lathe;
using namespace lathe::graph;
using synthetic_models::Kind;

namespace {

using Bytes = std::vector<std::byte>;
constexpr EncodeOptions kPlain{.form = EncodeOptions::Form::plain};

std::uint64_t total(const Bytes& bytes) {
  std::uint64_t sum = 0;
  for (const SizeEntry& entry : size_breakdown(bytes, "m")) sum += entry.bytes;
  return sum;
}

/// The smallest form is not larger than the plain one and gives the same graph, bit for bit.
Bytes check_smallest(const Graph& graph) {
  const Bytes plain = encode(graph, kPlain), smallest = encode(graph);
  CHECK(smallest.size() <= plain.size());
  CHECK(encode(decode(smallest, "smallest"), kPlain) == plain);
  CHECK(encode(decode(smallest, "smallest")) == smallest);
  CHECK(total(smallest) == smallest.size());
  CHECK(total(plain) == plain.size());
  return smallest;
}

Graph f32_linear(const Shape& shape, std::span<const float> numbers) {
  Graph graph;
  const ValueId x = graph.add_input("x", {1, shape[1]});
  graph.set_outputs({graph.add_node(Linear{}, {x, graph.add_constant("w", shape, numbers)}, "linear")});
  return graph;
}

/// Numbers of a random sort: dense, sparse, few, alike, odd.
std::vector<float> random_numbers(std::size_t count, Rng& rng) {
  std::vector<float> numbers(count);
  const std::uint64_t sort = rng.below(8);
  const float share = rng.uniform(), few = 1 + static_cast<float>(rng.below(20));
  for (float& number : numbers) {
    number = rng.normal();
    if (sort == 0) number = 0;
    if (sort == 1 && rng.uniform() < share) number = 0;
    if (sort == 2) number = std::round(number * few) / few;
    if (sort == 3) number = 1.25f;
    if (sort == 4 && rng.below(4) == 0)
      number = std::bit_cast<float>(static_cast<std::uint32_t>(rng.below(std::uint64_t{1} << 32)));
    if (sort == 5) number = rng.below(2) == 0 ? std::numeric_limits<float>::infinity() : -0.f;
    if (sort == 6) number = std::bit_cast<float>(std::bit_cast<std::uint32_t>(number) & 0xFFFF0000U);
  }
  return numbers;
}

const SizeEntry& entry_of(const std::vector<SizeEntry>& entries, SizeEntry::Part part,
                          const std::string& name = {}) {
  for (const SizeEntry& entry : entries)
    if (entry.part == part && entry.name == name) return entry;
  FAIL("no entry ", name);
  return entries.front();
}

}  // namespace

TEST_CASE("graphs of all kinds come back from their smallest form") {
  for (const Graph& graph : {small_graphs::real(), small_graphs::integers(), small_graphs::every_op()})
    check_smallest(graph);
  for (Kind kind : {Kind::dense, Kind::pruned, Kind::clustered, Kind::pruned_and_clustered})
    check_smallest(synthetic_models::dscnn(kind, kind == Kind::pruned));
}

TEST_CASE("random constants come back from their smallest form") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Rng rng(seed);
    const Shape shape{1 + static_cast<std::int64_t>(rng.below(12)),
                      1 + static_cast<std::int64_t>(rng.below(80))};
    check_smallest(f32_linear(shape, random_numbers(static_cast<std::size_t>(shape.size()), rng)));
  }
}

// Golden sizes: what a change of the encodings may not make worse. Deflate streams may differ by a few bytes
// between versions of zlib, nothing else may.
TEST_CASE("files of the sizes of the bundled models stay small") {
  const auto size = [](const Graph& graph) { return encode(graph).size(); };
  CHECK(size(synthetic_models::conv(Kind::dense)) <= 31910);
  CHECK(size(synthetic_models::conv(Kind::pruned)) <= 11230);
  CHECK(size(synthetic_models::conv(Kind::clustered)) <= 9770);
  CHECK(size(synthetic_models::conv(Kind::pruned_and_clustered)) <= 7210);
  CHECK(size(synthetic_models::dscnn()) <= 1830);
  CHECK(encode(synthetic_models::dscnn(), kPlain).size() <= 2200);
}

TEST_CASE("scales with a short mantissa take less") {
  const auto scales = [](bool shorter) {
    const Bytes bytes = encode(synthetic_models::conv(Kind::pruned, shorter));
    std::uint64_t sum = 0;
    for (const SizeEntry& entry : size_breakdown(bytes, "m"))
      if (entry.part == SizeEntry::Part::scales) sum += entry.bytes;
    return sum;
  };
  CHECK(scales(false) <= 106 * 25 / 8 + 6);
  CHECK(scales(true) <= 106 * 8 / 8 + 6);
}

TEST_CASE("the breakdown tells where the bytes are") {
  using Part = SizeEntry::Part;
  const Graph graph = synthetic_models::conv(Kind::pruned);
  const Bytes plain_bytes = encode(graph, kPlain);
  const auto plain = size_breakdown(plain_bytes, "m");
  CHECK(entry_of(plain, Part::checksum).bytes == 4);
  CHECK(entry_of(plain, Part::header).bytes == 8 + 2 + 1);
  CHECK(entry_of(plain, Part::constant, "conv2.weight").bytes == 18432);
  CHECK(entry_of(plain, Part::constant, "conv2.weight").encoding == "raw");
  CHECK(entry_of(plain, Part::constant, "conv2.weight").shape == Shape{64, 3, 3, 32});
  CHECK(entry_of(plain, Part::constant, "linear.bias").bytes == 40);
  CHECK(entry_of(plain, Part::constant, "linear.bias").dtype == Dtype::i32);
  CHECK(entry_of(plain, Part::scales, "conv1.weight").bytes == 128);
  CHECK(entry_of(plain, Part::scales, "conv1.weight").shape == Shape{32});

  const auto smallest = size_breakdown(encode(graph), "m");
  CHECK(entry_of(smallest, Part::constant, "conv2.weight").encoding == "coded");
  CHECK(entry_of(smallest, Part::constant, "conv2.weight").bytes < 18432 / 3);
  CHECK(entry_of(smallest, Part::graph).encoding == "coded");
  CHECK(entry_of(smallest, Part::graph).bytes < entry_of(plain, Part::graph).bytes);

  const auto padded =
      size_breakdown(encode(f32_linear({20000, 1}, small_graphs::numbers(20000)), kPlain), "m");
  CHECK(entry_of(padded, Part::padding).bytes > 0);
  CHECK_ERROR(size_breakdown(std::span(plain_bytes).first(20), "m"), "m: at byte 12: the file is damaged");
}

TEST_CASE("large models go by deflate, their small tensors by the coded stream") {
  Graph graph;
  Rng rng(1);
  std::vector<float> numbers(300000);
  for (float& number : numbers) number = rng.normal();
  const ValueId x = graph.add_input("x", {1, 1000});
  ValueId y =
      graph.add_node(Linear{}, {x, graph.add_constant("large.weight", {300, 1000}, numbers)}, "large");
  y = graph.add_node(
      Linear{}, {y, graph.add_constant("small.weight", {10, 300}, std::span(numbers).first(3000))}, "small");
  graph.set_outputs({y});
  const auto entries = size_breakdown(check_smallest(graph), "m");
  CHECK(entry_of(entries, SizeEntry::Part::constant, "large.weight").encoding ==
        "planes(raw raw raw deflate)");
  CHECK(entry_of(entries, SizeEntry::Part::constant, "small.weight").encoding == "planes(raw raw raw coded)");
}

TEST_CASE("scales of many channels are aligned like elements") {
  synthetic_models::Maker maker(1);
  maker.rescaled(GlobalAvgPool{}, "pool");
  maker.weighted(Linear{}, "wide", {20000, 1}, Kind::dense, false);
  const Graph graph = maker.finish();
  check_smallest(graph);
  std::uint64_t offset = 0;
  for (const SizeEntry& entry : size_breakdown(encode(graph, kPlain), "m")) {
    if (entry.bytes >= 65536) CHECK(offset % 64 == 0);
    offset += entry.bytes;
  }
  CHECK(offset > 2 * 80000);
}

TEST_CASE("no small file fills the memory") {
  // 12 MB of zeros: allowed to grow from the bytes that deflate needs, not from the few that would do.
  const std::vector<float> zeros(3'000'000);
  const Bytes bytes = check_smallest(f32_linear({3000, 1000}, zeros));
  CHECK(bytes.size() < 20000);
  CHECK(bytes.size() > zeros.size() * 4 / 2060 - 600);
  const Bytes small = check_smallest(f32_linear({200, 1000}, std::span(zeros).first(200000)));
  CHECK(small.size() < 60);
}
