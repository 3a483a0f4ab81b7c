#include <lathe/compress/select.h>
#include <lathe/layers/layers.h>
#include "support/errors.h"

#include "support.h"

using namespace lathe;
using compress::Selection;

namespace {

constexpr std::array<std::string_view, 2> kTypes = {"Conv2d", "Linear"};

std::vector<std::string> layers_of(layers::Module& model, const Selection& selection) {
  std::vector<std::string> paths;
  for (const auto& layer : compress::select_layers(model, selection, "test", kTypes))
    paths.push_back(layer.path);
  return paths;
}

std::vector<std::string> weights_of(layers::Module& model, const Selection& selection) {
  std::vector<std::string> names;
  for (const auto& weight : compress::select_weights(model, selection, "test", kTypes))
    names.push_back(weight.name);
  return names;
}

using Names = std::vector<std::string>;

/// Two blocks and a head: paths with dots.
struct Nested : layers::Module {
  struct Block : layers::Module {
    layers::Conv2d conv{{.in = 2, .out = 2, .kernel = 1}};
    layers::BatchNorm2d norm{{.channels = 2}};
    Block() { register_module("conv", conv), register_module("norm", norm); }
    Tensor forward(const Tensor& x) override { return norm(conv(x)); }
  };
  Block block1, block2;
  layers::Linear head{{.in = 2, .out = 3}};
  Nested() {
    register_module("block1", block1), register_module("block2", block2), register_module("head", head);
  }
  Tensor forward(const Tensor& x) override { return head(flatten(block2(block1(x)))); }
};

}  // namespace

TEST_CASE("without a selection a method takes the layers of its types") {
  const auto model = testing::small_model();
  CHECK(layers_of(*model, {}) == Names{"conv", "pointwise", "linear"});
  CHECK(weights_of(*model, {}) == Names{"conv.weight", "pointwise.weight", "linear.weight"});
  CHECK(compress::select_layers(*model, {}, "test").size() == 7);
}

TEST_CASE("patterns match whole paths, dots included") {
  Nested model;
  CHECK(layers_of(model, {.patterns = {"block*"}}) == Names{"block1.conv", "block2.conv"});
  CHECK(layers_of(model, {.patterns = {"*.conv"}}) == Names{"block1.conv", "block2.conv"});
  CHECK(layers_of(model, {.patterns = {"block?.conv"}, .exclude = {"*2*"}}) == Names{"block1.conv"});
  CHECK(layers_of(model, {.patterns = {"head", "block[12].conv"}}) ==
        Names{"block1.conv", "block2.conv", "head"});
  CHECK_ERROR(layers_of(model, {.patterns = {"conv"}}), "pattern 'conv' matches no layer");
}

TEST_CASE("types replace the default ones") {
  const auto model = testing::small_model();
  CHECK(layers_of(*model, {.types = {"DepthwiseConv2d"}}) == Names{"depthwise"});
  CHECK(layers_of(*model, {.patterns = {"*wise"}, .types = {"DepthwiseConv2d", "Conv2d"}}) ==
        Names{"depthwise", "pointwise"});
}

TEST_CASE("a visitor has the last word") {
  const auto model = testing::small_model();
  Names seen;
  const Selection selection{.exclude = {"conv"},
                            .visitor = [&](const std::string& path, const layers::Module& layer) {
                              seen.push_back(path + " " + layer.type());
                              return path != "linear";
                            }};
  CHECK(layers_of(*model, selection) == Names{"pointwise"});
  CHECK(seen == Names{"pointwise Conv2d", "linear Linear"});
}

TEST_CASE("a layer that is the whole model has an empty path") {
  layers::Linear linear({.in = 2, .out = 2});
  CHECK(weights_of(linear, {}) == Names{"weight"});
  CHECK(weights_of(linear, {.patterns = {"*"}}) == Names{"weight"});
}

TEST_CASE("a weight that two layers share is taken once") {
  struct Tied : layers::Module {
    layers::Linear a{{.in = 2, .out = 2}}, b{{.in = 2, .out = 2}};
    Tied() {
      b.weight = a.weight;
      register_module("a", a), register_module("b", b);
    }
    Tensor forward(const Tensor& x) override { return b(a(x)); }
  };
  Tied model;
  CHECK(weights_of(model, {}) == Names{"a.weight"});
}

TEST_CASE("what matches nothing is an error that lists the layers there are") {
  const auto model = testing::small_model();
  const char* all =
      "there are: conv (Conv2d), norm (BatchNorm2d), depthwise (DepthwiseConv2d), pointwise (Conv2d), "
      "flatten (Flatten), "
      "dropout (Dropout), linear (Linear)";
  CHECK_ERROR(layers_of(*model, {.patterns = {"conv", "conv9*"}}), "test: pattern 'conv9*' matches no layer");
  CHECK_ERROR(layers_of(*model, {.patterns = {"conv9*"}}), all);
  CHECK_ERROR(layers_of(*model, {.exclude = {"block.*"}}), "test: exclusion 'block.*' matches no layer");
  CHECK_ERROR(layers_of(*model, {.types = {"Conv3d"}}), "test: there is no layer of type 'Conv3d'");
  CHECK_ERROR(layers_of(*model, {.types = {"Conv3d"}}), all);
}

TEST_CASE("a pattern that only matches layers of other types says so") {
  const auto model = testing::small_model();
  CHECK_ERROR(
      layers_of(*model, {.patterns = {"depthwise"}}),
      "test: pattern 'depthwise' matches no layer of type Conv2d, Linear (name the type to take others)");
}

TEST_CASE("a selection that leaves nothing is an error") {
  const auto model = testing::small_model();
  CHECK_ERROR(layers_of(*model, {.exclude = {"*"}}),
              "test: the selection leaves no layer; there are: conv (Conv2d)");
  const auto nothing = [](const std::string&, const layers::Module&) { return false; };
  CHECK_ERROR(layers_of(*model, {.visitor = nothing}), "test: the selection leaves no layer");
  CHECK_ERROR(weights_of(*model, {.types = {"BatchNorm2d"}}),
              "no selected layer has a weight of rank 2 or more");
  layers::Flatten flatten;
  CHECK_ERROR(layers_of(flatten, {}), "the model has no layer of type Conv2d, Linear");
}
