#include "support/errors.h"
#include "support/golden.h"

#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>

using namespace lathe;

namespace {

std::unique_ptr<layers::Module> made(std::string_view name) {
  auto model = layers::find_model(name).make();
  model->reset(Rng(7));
  return model;
}

graph::Graph exported(std::string_view name) {
  return compress::export_float(*made(name), layers::find_model(name).input);
}

/// Ranges that do not depend on how floats are added up, so that golden files hold on any machine.
compress::Ranges plain_ranges(const graph::Graph& graph) {
  compress::Ranges ranges(graph.values().size());
  for (graph::ValueId id : graph.inputs()) ranges[static_cast<std::size_t>(id)] = {{0, 1}};
  for (const graph::Node& node : graph.nodes()) ranges[static_cast<std::size_t>(node.output)] = {{0, 3}};
  ranges[static_cast<std::size_t>(graph.outputs()[0])] = {{-2, 3}};
  return ranges;
}

/// Answers differently each time, which a graph cannot.
struct Counter : layers::Module {
  float calls = 0;
  Tensor forward(const Tensor& x) override { return scale_by(x, ++calls); }
  static Tensor scale_by(const Tensor& x, float factor) {
    return multiply(x, Tensor::full(x.shape(), factor));
  }
};

struct Constant : layers::Module {
  Tensor forward(const Tensor&) override { return Tensor::zeros({1, 10}); }
};

struct NotFinite : layers::Module {
  Tensor forward(const Tensor& x) override {
    return linear(x, Tensor::full({2, 3}, 1e30f), Tensor::full({2}, HUGE_VALF));
  }
};

}  // namespace

TEST_CASE("the models' graphs after export and after quantization are the golden ones") {
  for (const layers::ModelInfo& model : layers::models()) {
    if (model.input != Shape{1, 28, 28, 1}) continue;  // the larger ones show the same on more pages
    const graph::Graph real = exported(model.name);
    check_golden(fmt::format("graph_{}_f32.txt", model.name), to_string(real));
    check_golden(fmt::format("graph_{}_i8.txt", model.name),
                 to_string(compress::quantize(real, plain_ranges(real))));
  }
}

TEST_CASE("files of the models have the sizes they should") {
  const auto bytes = [](std::string_view name) {
    const graph::Graph real = exported(name);
    return graph::encode(compress::quantize(real, plain_ranges(real))).size();
  };
  CHECK(bytes("dscnn") <= 2200);
  CHECK(bytes("conv") <= 35800);
  CHECK(bytes("tutorial") <= 20750);
  CHECK(graph::encode(exported("conv")).size() <= 34826 * 4 + 300);
}

TEST_CASE("a traced graph has the names of the module and no training ops") {
  const auto model = made("dscnn");
  const graph::Graph graph = compress::trace(*model, {1, 28, 28, 1});
  verify(graph);
  std::size_t named = 0;
  for (const layers::NamedParameter& parameter : model->parameters())
    for (const graph::Value& value : graph.values())
      named += value.is_constant() && value.name == parameter.name;
  CHECK(named == model->parameters().size());
  CHECK(graph.nodes()[0].name == "stem");
  CHECK(compress::trace(*made("conv"), {1, 28, 28, 1}).nodes().size() == 6);  // no dropout
}

TEST_CASE("tracing leaves the training mode of every part as it was") {
  layers::Sequential model;
  auto& norm = model.add<layers::BatchNorm2d>("norm", {.channels = 3});
  auto& drop = model.add<layers::Dropout>("drop", {.rate = 0.5f});
  model.train();
  norm.eval();
  const Tensor mean = norm.moving_mean.clone();
  compress::export_float(model, {1, 4, 4, 3});
  CHECK(model.training());
  CHECK_FALSE(norm.training());
  CHECK(drop.training());
  CHECK(std::ranges::equal(mean.span<float>(), norm.moving_mean.span<float>()));
}

TEST_CASE("modules that no graph can stand for are refused") {
  Counter counter;
  CHECK_ERROR(compress::trace(counter, {2, 3}), "trace: the input must be [1,...], given [2,3]");
  Constant constant;
  CHECK_ERROR(compress::trace(constant, {1, 3}), "does not depend on an input");
  layers::Sequential model;
  model.add<layers::Linear>("head", {.in = 4, .out = 2});
  CHECK_ERROR(compress::trace(model, {1, 3}), "head: linear: input has 3 features, weight expects 4");
  NotFinite wild;
  CHECK_ERROR(compress::export_float(wild, {1, 3}), "export: outputs for random images are not finite");
}

TEST_CASE("an export that does not compute what the module does is refused") {
  layers::Sequential model;
  auto& head = model.add<layers::Linear>("head", {.in = 3, .out = 2});
  model.reset(Rng(1));
  struct Drifting : layers::Module {
    layers::Linear& inner;
    int calls = 0;
    explicit Drifting(layers::Linear& linear) : inner(linear) { register_module("inner", inner); }
    Tensor forward(const Tensor& x) override {
      if (++calls == 2) inner.weight.master().mutable_span<float>()[0] += 1;
      return inner(x);
    }
  } drifting(head);
  CHECK_ERROR(compress::export_float(drifting, {1, 3}),
              "export: the graph's outputs differ from the module's by");
}
