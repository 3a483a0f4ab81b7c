#include <lathe/compress/cluster.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/strip.h>
#include <lathe/optim/optimizer.h>
#include "support/errors.h"

#include "support.h"

using namespace lathe;
using namespace lathe::compress;
using namespace lathe::testing;

namespace {

/// Pruned and clustered, trained a little, masters drifted away from their values.
std::unique_ptr<layers::Sequential> compressed_model() {
  auto model = small_model();
  auto pruning = prune(*model, {.schedule = ConstantSparsity{.sparsity = 0.5f, .begin = 1, .end = 1}});
  auto clustering = cluster(*model, {.clusters = 7, .preserve_sparsity = true});
  optim::Adam optimizer(model->parameters(), {.learning_rate = 0.01f});
  optim::Trainer trainer(*model, optimizer, {.epochs = 2});
  trainer.add(std::move(pruning));
  trainer.add(std::move(clustering));
  trainer.fit(spots(64));
  return model;
}

}  // namespace

TEST_CASE("stripping leaves the outputs bit-equal and nothing of the methods behind") {
  const auto model = compressed_model();
  const Tensor before = evaluate(*model, images());
  strip(*model);
  CHECK(same_bytes(evaluate(*model, images()), before));
  const auto plain = small_model();
  REQUIRE(model->parameters().size() == plain->parameters().size());
  REQUIRE(model->buffers().size() == plain->buffers().size());
  for (const layers::NamedParameter& named : model->parameters()) CHECK(named.parameter.transforms().empty());
  strip(*model);  // nothing to do
  CHECK(same_bytes(evaluate(*model, images()), before));
}

TEST_CASE("a prefix of the stages can be stripped") {
  const auto model = compressed_model();
  const Tensor before = evaluate(*model, images());
  strip(*model, layers::Stage::prune);
  CHECK(pruned_weights(*model).empty());
  CHECK(clustered_weights(*model).size() == 3);
  CHECK(same_bytes(evaluate(*model, images()), before));
  strip(*model, layers::Stage::cluster);
  CHECK(clustered_weights(*model).empty());
  CHECK(same_bytes(evaluate(*model, images()), before));
}

TEST_CASE("the optimiser's view of a weight survives stripping") {
  const auto model = compressed_model();
  const optim::Sgd optimizer(model->parameters(), {});
  strip(*model);
  for (const layers::NamedParameter& named : optimizer.parameters())
    if (named.name == "linear.weight")
      CHECK(named.parameter.master().is(parameter(*model, "linear.weight").master()));
}

TEST_CASE("quantizers of outputs stay") {
  struct Half : layers::Transform {
    layers::Stage stage() const override { return layers::Stage::quantize; }
    Tensor apply(const Tensor& x) override { return scale(x, 0.5f); }
  };
  const auto model = compressed_model();
  layers::Module* linear = model->modules().back().second;
  linear->set_output_transform(std::make_shared<Half>());
  const Tensor before = evaluate(*model, images());
  strip(*model);
  CHECK(linear->output_transform() != nullptr);
  CHECK(same_bytes(evaluate(*model, images()), before));
}
