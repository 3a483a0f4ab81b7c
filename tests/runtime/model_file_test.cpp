// A model out of a file computes the same, whatever the file's form.
#include "graph/small_graphs.h"
#include "graph/synthetic_models.h"

#include <lathe/base/random.h>
#include <lathe/graph/model_file.h>
#include <lathe/runtime/plan.h>

#include <doctest/doctest.h>

#include <cstring>

using namespace lathe;
using synthetic_models::Kind;

namespace {

/// Outputs for a few random images, bit by bit.
std::vector<std::uint32_t> outputs(const graph::Graph& graph) {
  runtime::Plan plan(graph);
  Rng rng(1);
  std::vector<std::uint32_t> result;
  for (int image = 0; image < 20; ++image) {
    for (float& pixel : plan.input<float>()) pixel = rng.uniform();
    plan.run();
    for (float number : plan.output<float>()) result.push_back(std::bit_cast<std::uint32_t>(number));
  }
  return result;
}

void check_forms(const graph::Graph& graph) {
  using Form = graph::EncodeOptions::Form;
  const auto plain = graph::encode(graph, {.form = Form::plain}), smallest = graph::encode(graph);
  CHECK(smallest.size() < plain.size());
  const auto expected = outputs(graph);
  CHECK(outputs(graph::decode(plain, "plain")) == expected);
  CHECK(outputs(graph::decode(smallest, "smallest")) == expected);
}

}  // namespace

TEST_CASE("a plan of an encoded file gives the same bits as one of the plain file") {
  check_forms(small_graphs::real());
  check_forms(synthetic_models::conv(Kind::dense));
  for (Kind kind : {Kind::dense, Kind::pruned, Kind::clustered, Kind::pruned_and_clustered})
    check_forms(synthetic_models::dscnn(kind));
}
