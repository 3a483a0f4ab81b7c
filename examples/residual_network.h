#pragma once

#include <lathe/lathe.h>

// A network with a block of its own. Modules, not functions, add and activate: what a module puts out can be
// watched, so that quantization knows its range.

/// Two convolutions and a shortcut around them (He et al. 2016, "Deep residual learning").
struct ResidualBlock : lathe::layers::Module {
  lathe::layers::Conv2d first, second;
  lathe::layers::Add add{{.activation = lathe::Activation::relu}};

  explicit ResidualBlock(int channels)
      : first({.in = channels,
               .out = channels,
               .kernel = 3,
               .padding = lathe::Padding::same(),
               .activation = lathe::Activation::relu}),
        second({.in = channels, .out = channels, .kernel = 3, .padding = lathe::Padding::same()}) {
    register_module("first", first);
    register_module("second", second);
    register_module("add", add);
  }
  std::string type() const override { return "ResidualBlock"; }
  lathe::Tensor forward(const lathe::Tensor& x) override { return add(second(first(x)), x); }
};

struct ResidualNetwork : lathe::layers::Module {
  lathe::layers::Conv2d stem{{.in = 1,
                              .out = 16,
                              .kernel = 3,
                              .stride = 2,
                              .padding = lathe::Padding::same(),
                              .activation = lathe::Activation::relu}};
  ResidualBlock block{16};
  lathe::layers::GlobalAvgPool pool;
  lathe::layers::Linear classify{{.in = 16, .out = 10}};

  ResidualNetwork() {
    register_module("stem", stem);
    register_module("block", block);
    register_module("pool", pool);
    register_module("classify", classify);
  }
  std::string type() const override { return "ResidualNetwork"; }
  lathe::Tensor forward(const lathe::Tensor& x) override { return classify(pool(block(stem(x)))); }
};
