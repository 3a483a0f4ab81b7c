#include "support/errors.h"

#include <lathe/core/autograd.h>
#include <lathe/layers/layers.h>
#include <lathe/layers/models.h>

using namespace lathe;

namespace {

/// A block with a shortcut, as a user would write it.
struct Residual : layers::Module {
  layers::Conv2d conv{{.in = 4, .out = 4, .kernel = 3, .padding = Padding::same()}};
  layers::Add add{{.activation = Activation::relu}};
  Residual() {
    register_module("conv", conv);
    register_module("add", add);
  }
  std::string type() const override { return "Residual"; }
  Tensor forward(const Tensor& x) override { return add(conv(x), x); }
};

/// What a layer computes with it is zero, whatever the tensor behind it.
struct TimesZero : layers::Transform {
  explicit TimesZero(layers::Stage stage = layers::Stage::prune) : stage_(stage) {}
  layers::Stage stage() const override { return stage_; }
  Tensor apply(const Tensor& x) override { return scale(x, 0); }

 private:
  layers::Stage stage_;
};

/// Adds its own trained number, and keeps one.
struct Shift : layers::Transform {
  layers::Stage stage() const override { return layers::Stage::cluster; }
  Tensor apply(const Tensor& x) override { return add(x, amount.value()); }
  std::vector<std::pair<std::string, layers::Parameter*>> parameters() override {
    return {{"amount", &amount}};
  }
  std::vector<std::pair<std::string, Tensor*>> buffers() override { return {{"kept", &kept}}; }
  layers::Parameter amount{Shape{2}};
  Tensor kept = Tensor::zeros({2});
};

}  // namespace

TEST_CASE("names are paths and handles share the tensor") {
  layers::Sequential model;
  model.append("block", std::make_unique<Residual>());
  auto parameters = model.parameters();
  REQUIRE(parameters.size() == 2);
  CHECK(parameters[0].name == "block.conv.weight");
  CHECK(parameters[1].name == "block.conv.bias");
  parameters[1].parameter.master().mutable_span<float>()[0] = 7;
  CHECK(model.parameters()[1].parameter.master().span<float>()[0] == 7);
}

TEST_CASE("a custom module runs and every parameter gets a gradient") {
  layers::Sequential model;
  model.append("block", std::make_unique<Residual>());
  model.reset(Rng(1));
  sum(model(Tensor::full({2, 5, 5, 4}, 0.5f))).backward();
  for (const auto& parameter : model.parameters())
    CHECK(parameter.parameter.master().grad().shape() == parameter.parameter.master().shape());
  model.clear_grads();
  CHECK(!model.parameters()[0].parameter.master().grad());
}

TEST_CASE("errors name the module they happened in, once") {
  layers::Sequential model;
  model.append("block", std::make_unique<Residual>());
  std::string message;
  try {
    model(Tensor::zeros({1, 5, 5, 3}));
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.rfind("block.conv: conv2d: ", 0) == 0);
  CHECK(message.find("block", 1) == std::string::npos);
}

TEST_CASE("bad names and bad options are refused") {
  layers::Sequential model;
  model.add<layers::Flatten>("a");
  CHECK_ERROR(model.add<layers::Flatten>("a"), "there is a module named 'a' already");
  CHECK_ERROR(model.add<layers::Flatten>("a.b"), "'a.b' is empty or has a dot");
  CHECK_ERROR(model.add<layers::Conv2d>("c", {.in = 3, .out = 4, .groups = 2}),
              "must be multiples of groups 2");
  CHECK_ERROR(model.add<layers::Linear>("d", {.in = 0, .out = 4}), "in 0 and out 4 must be positive");
  CHECK_ERROR(model.add<layers::Dropout>("e", {.rate = 1.0f}), "rate 1 must be in [0, 1)");
  CHECK(model.modules().size() == 2);
}

TEST_CASE("the mode reaches every module below") {
  auto model = layers::find_model("conv").make();
  model->eval();
  for (const auto& [path, module] : model->modules()) CHECK_FALSE(module->training());
  model->train();
  for (const auto& [path, module] : model->modules()) CHECK(module->training());
}

TEST_CASE("initialisation depends on seed and name only") {
  layers::Sequential one, two;
  one.add<layers::Linear>("a", {.in = 3, .out = 2});
  one.add<layers::Linear>("b", {.in = 2, .out = 2});
  two.add<layers::Linear>("b", {.in = 2, .out = 2});
  one.reset(Rng(3)), two.reset(Rng(3));
  const Tensor first = one.parameters()[2].parameter.master(),
               second = two.parameters()[0].parameter.master();
  CHECK(std::ranges::equal(first.span<float>(), second.span<float>()));
  two.reset(Rng(4));
  CHECK_FALSE(std::ranges::equal(first.span<float>(), second.span<float>()));
}

TEST_CASE("bundled models have the parameter totals of the published ones") {
  const auto totals = [](const char* name) {
    return layers::count_parameters(*layers::find_model(name).make());
  };
  CHECK(totals("tutorial").all == 20'410);
  CHECK(totals("conv").all == 34'826);
  CHECK(totals("dscnn").all == 1'506);
  CHECK(totals("dscnn").trainable == 1'346);
  CHECK_ERROR(layers::find_model("cnv"), "there is no model 'cnv'; there are: tutorial, conv, dscnn");
}

TEST_CASE("a summary shows each layer with its output shape and the totals, and keeps the mode") {
  auto model = layers::find_model("conv").make();
  const std::string text = layers::summary(*model, {1, 28, 28, 1});
  CHECK(text.find("conv2    Conv2d     64 3x3 relu  [1,11,11,64]      18,496") != std::string::npos);
  CHECK(text.find("parameters: 34,826 all, 34,826 trainable") != std::string::npos);
  CHECK(model->training());
}

TEST_CASE("every layer computes with the transformed value of its parameters") {
  for (const auto& info : layers::models()) {
    auto model = info.make();
    model->reset(Rng(1));
    for (auto& [name, parameter] : model->parameters()) parameter.attach(std::make_shared<TimesZero>());
    const std::int64_t extent = std::min<std::int64_t>(info.input[1], 96);
    const Tensor logits = (*model)(Tensor::full({1, extent, extent, info.input[3]}, 1));
    for (float logit : logits.span<float>()) CHECK(logit == 0);
  }
}

TEST_CASE("transforms apply in the order of their stages, whatever the order of attaching") {
  for (bool shift_first : {true, false}) {
    const auto shift = std::make_shared<Shift>();
    shift->amount.master().mutable_span<float>()[0] = 3;
    layers::Parameter parameter({2});
    parameter.master().mutable_span<float>()[1] = 5;
    if (shift_first) parameter.attach(shift);
    parameter.attach(std::make_shared<TimesZero>());
    if (!shift_first) parameter.attach(shift);
    const Tensor value = parameter.value();
    CHECK(value.span<float>()[0] == 3);
    CHECK(value.span<float>()[1] == 0);
    CHECK_ERROR(parameter.attach(std::make_shared<TimesZero>()), "stage 'prune' already");
    parameter.bake(layers::Stage::prune);
    CHECK(parameter.transforms().size() == 1);
    CHECK(parameter.master().span<float>()[1] == 0);
  }
}

TEST_CASE("what a transform trains and keeps is part of the module, but not of its size") {
  layers::Linear linear({.in = 3, .out = 2});
  const auto totals = layers::count_parameters(linear).all;
  linear.bias.attach(std::make_shared<Shift>());
  CHECK(linear.parameters().back().name == "bias.amount");
  CHECK(linear.buffers().back().name == "bias.kept");
  CHECK(layers::count_parameters(linear).all == totals);
  sum(linear(Tensor::full({1, 3}, 1))).backward();
  CHECK(linear.parameters().back().parameter.master().grad());
}

TEST_CASE("transforms of inputs and outputs act in every call and follow the mode") {
  layers::Sequential model;
  auto& relu = model.add<layers::Relu>("relu");
  const auto zero = std::make_shared<TimesZero>(layers::Stage::quantize);
  relu.set_output_transform(zero);
  CHECK(sum(model(Tensor::full({1, 3}, 2))).item() == 0);
  model.eval();
  CHECK_FALSE(zero->training());
  relu.set_output_transform(nullptr);
  model.set_input_transform(zero);
  CHECK(sum(model(Tensor::full({1, 3}, 2))).item() == 0);
}
