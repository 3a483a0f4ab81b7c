// The snippets of docs/methods/, compiled and run. Each ```cpp block there stands here word for word.
#include <doctest/doctest.h>
#include <lathe/base/io.h>
#include <lathe/compress/batch_norm.h>
#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/compress/trace.h>
#include <lathe/graph/model_file.h>
#include <lathe/optim/callbacks.h>

#include "support.h"
#include "support/temporary_folder.h"

#include <cstdio>

using namespace lathe;

namespace {

/// Runs in a folder of its own: the snippets write files.
struct Surroundings {
  std::filesystem::path before = std::filesystem::current_path();
  TemporaryFolder folder;
  std::unique_ptr<layers::Module> owned = testing::small_model();
  layers::Module& model = *owned;
  datasets::DataLoader train = testing::spots(64), validation = testing::spots(48, 2);
  Surroundings() { std::filesystem::current_path(folder.path()); }
  ~Surroundings() { std::filesystem::current_path(before); }
};

std::string text_of(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Without spaces and line ends: formatting is not part of it.
std::string squeezed(std::string_view text) {
  std::string result;
  for (char c : text)
    if (c != ' ' && c != '\n') result += c;
  return result;
}

}  // namespace

TEST_CASE("the snippet of docs/methods/pruning.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  auto pruning = compress::prune(
      model, {.schedule = compress::PolynomialDecay{.final = 0.8f, .begin = 0, .end = 12, .frequency = 2}});
  optim::Adam optimizer(model.parameters(), {});
  optim::Trainer trainer(model, optimizer, {.epochs = 4});
  trainer.add(std::make_unique<optim::BestCheckpoint>("best.safetensors"));
  trainer.add(std::make_unique<compress::SparsityLog>("sparsity.csv"));
  trainer.add(std::move(pruning));
  trainer.fit(train, &validation);
  compress::strip(model);
  CHECK(testing::zeros(testing::parameter(model, "linear.weight").master()) == 576 - 115);
  CHECK(std::filesystem::exists("sparsity.csv"));
}

TEST_CASE("the snippet of docs/methods/clustering.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  auto clustering = compress::cluster(model, {.clusters = 8});
  for (const compress::LeftOut& weight : clustering->left_out())
    std::printf("%s is not clustered: %s\n", weight.name.c_str(), weight.reason.c_str());
  optim::Adam optimizer(model.parameters(), {.learning_rate = 1e-3f});
  optim::Trainer trainer(model, optimizer, {.epochs = 4});
  trainer.add(std::move(clustering));
  trainer.fit(train);
  compress::strip(model);
  CHECK(compress::count_unique(testing::parameter(model, "linear.weight").master().span<float>()) <= 8);
}

TEST_CASE("the snippet of docs/methods/distillation.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  const auto larger = testing::small_model(9);
  layers::Module& network = *larger;
  const optim::Loss loss = compress::distillation(compress::teacher(network),
                                                  {.temperature = 4, .hard_weight = 0.1f, .cache = true});
  optim::Adam optimizer(model.parameters(), {});
  optim::Trainer trainer(model, optimizer, {.epochs = 4, .loss = loss});
  trainer.fit(train, &validation);
  CHECK(optim::evaluate(model, train).samples == 64);
}

TEST_CASE("the snippets of docs/methods/batch-norm.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  {
    optim::Adam optimizer(model.parameters(), {});
    optim::Trainer trainer(model, optimizer, {.epochs = 1});
    trainer.add(std::make_unique<compress::BatchNormReEstimation>(train));
    trainer.add(std::make_unique<optim::BestCheckpoint>("best.safetensors"));
    trainer.fit(train, &validation);
  }
  compress::strip(model);
  const std::int64_t layers = compress::re_estimate_batch_norm(model, train, {.batches = 100});
  std::printf("%d layers re-estimated\n", static_cast<int>(layers));
  CHECK(layers == 1);
}

TEST_CASE("the snippet of docs/methods/quantization-aware-training.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  const Shape input{1, 8, 8, 1};
  const std::vector<Tensor> batches = {train.epoch(0).next()->images};
  auto quantization = compress::quantize_aware(model, input, batches);
  for (const compress::LeftOut& layer : quantization->left_out())
    std::printf("%s stays float: %s\n", layer.name.c_str(), layer.reason.c_str());
  optim::Adam optimizer(model.parameters(), {.learning_rate = 1e-4f});
  optim::Trainer trainer(model, optimizer, {.epochs = 4});
  trainer.add(std::make_unique<compress::QuantizationGapLog>("gap.csv", train));
  trainer.add(std::move(quantization));
  trainer.fit(train, &validation);
  graph::save(compress::export_quantized(model, input), "model.lathe");
  CHECK(graph::load("model.lathe").nodes().size() == 7);
}

TEST_CASE("the snippet of docs/methods/post-training-quantization.md") {
  Surroundings here;
  auto& [before, folder, owned, model, train, validation] = here;
  const graph::Graph real = compress::export_float(model, {1, 8, 8, 1});
  std::vector<Tensor> batches;
  for (auto epoch = train.epoch(0); auto batch = epoch.next();) batches.push_back(batch->images);
  const compress::Ranges ranges = compress::calibrate(real, batches);

  std::vector<compress::FloatNode> left_float;
  const graph::Graph int8 = compress::quantize(real, ranges, {}, &left_float);
  for (const compress::FloatNode& left : left_float)
    std::printf("%s stays float: %s\n", describe(real, real.nodes()[left.node]).c_str(), left.reason.c_str());
  graph::save(int8, "model.int8.lathe");
  graph::save(compress::quantize(real, ranges, {.scheme = compress::Scheme::int16x8}), "model.int16x8.lathe");
  graph::save(compress::quantize_dynamic(real), "model.dynamic.lathe");
  graph::save(compress::to_half(real), "model.fp16.lathe");
  CHECK(left_float.empty());
  CHECK(graph::load("model.int16x8.lathe").nodes().size() == int8.nodes().size());
}

TEST_CASE("the snippets of docs/methods are those of this file") {
  const std::filesystem::path source = LATHE_SOURCE;
  const std::string here = squeezed(text_of(source / "tests/compress/docs_test.cpp"));
  int blocks = 0;
  for (const char* page : {"pruning", "clustering", "distillation", "batch-norm",
                           "quantization-aware-training", "post-training-quantization"}) {
    const std::string text = text_of(source / "docs/methods" / (std::string(page) + ".md"));
    for (std::size_t at = text.find("```cpp\n"); at != std::string::npos; at = text.find("```cpp\n", at)) {
      at += 7;
      const std::string block = text.substr(at, text.find("```", at) - at);
      CAPTURE(block);
      CHECK(here.find(squeezed(block)) != std::string::npos);
      ++blocks;
    }
  }
  CHECK(blocks == 7);
}
