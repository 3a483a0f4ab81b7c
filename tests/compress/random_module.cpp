#include "random_module.h"

#include <lathe/base/random.h>

#include <array>
#include <string>

using namespace lathe;

namespace {

/// body(x) + x, body(x) beside x, or x * sigmoid(linear(mean(x))).
struct Branch : layers::Module {
  enum class Kind { add, concat, gate };
  Kind kind;
  std::unique_ptr<layers::Module> body;
  layers::Add sum;
  layers::Concat concat;
  layers::Multiply product;

  Branch(Kind kind_of, std::unique_ptr<layers::Module> inner, Activation activation)
      : kind(kind_of), body(std::move(inner)), sum({activation}) {
    register_module("body", *body);
    if (kind == Kind::add) register_module("sum", sum);
    if (kind == Kind::concat) register_module("concat", concat);
    if (kind == Kind::gate) register_module("product", product);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = (*body)(x);
    if (kind == Kind::add) return sum(y, x);
    if (kind == Kind::gate) return product(x, y);
    return concat(std::array{x, y});
  }
};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : rng_(seed) {}

  Shape input() {
    channels_ = 1 + choose(5);
    height_ = 6 + choose(5), width_ = 6 + choose(5);
    return {1, height_, width_, channels_};
  }

  std::unique_ptr<layers::Sequential> make() {
    auto model = std::make_unique<layers::Sequential>();
    for (int steps = 2 + choose(5); steps > 0; --steps) step(*model);
    if (coin()) {
      model->add<layers::GlobalAvgPool>("mean");
      model->add<layers::Linear>("head", {.in = channels_, .out = 5});
    } else {
      model->add<layers::Flatten>("flatten");
      model->add<layers::Linear>("head", {.in = channels_ * height_ * width_, .out = 5});
    }
    return model;
  }

 private:
  int choose(int n) { return static_cast<int>(rng_.below(static_cast<std::uint64_t>(n))); }
  bool coin() { return choose(2) == 0; }
  Activation clamp() {
    return std::array{Activation::none, Activation::relu, Activation::relu6}[rng_.below(3)];
  }
  std::string fresh(const char* kind) { return kind + std::to_string(count_++); }

  void conv(layers::Sequential& to, int out) {
    const bool norm = coin();
    if (choose(3) == 0)
      to.add<layers::DepthwiseConv2d>(fresh("depthwise"), {.channels = channels_,
                                                           .kernel = 3,
                                                           .padding = Padding::same(),
                                                           .bias = coin(),
                                                           .activation = norm ? Activation::none : clamp()});
    to.add<layers::Conv2d>(fresh("conv"), {.in = channels_,
                                           .out = out,
                                           .kernel = 1 + 2 * choose(2),
                                           .padding = Padding::same(),
                                           .bias = coin(),
                                           .activation = norm ? Activation::none : clamp(),
                                           .kernel_w = 1 + 2 * choose(2)});
    channels_ = out;
    if (norm) batch_norm(to, clamp());
    if (choose(3) == 0) activation(to);
  }

  void batch_norm(layers::Sequential& to, Activation activation) {
    to.add<layers::BatchNorm2d>(
        fresh("norm"),
        {.channels = channels_, .momentum = 0.7f, .activation = activation, .scale = choose(4) != 0});
  }

  void activation(layers::Sequential& to) {
    switch (choose(4)) {
      case 0:
        to.add<layers::Relu>(fresh("relu"));
        break;
      case 1:
        to.add<layers::Relu6>(fresh("relu6"));
        break;
      case 2:
        to.add<layers::Silu>(fresh("silu"));
        break;
      default:
        to.add<layers::Sigmoid>(fresh("sigmoid"));
    }
  }

  void pool(layers::Sequential& to) {
    if (height_ < 4 || width_ < 4) return;
    const int stride = 1 + choose(2);
    const layers::MaxPool2d::Options options{.kernel = 2, .stride = stride, .padding = Padding::same()};
    if (coin())
      to.add<layers::MaxPool2d>(fresh("pool"), options);
    else
      to.add<layers::AvgPool2d>(fresh("pool"), options);
    height_ = (height_ + stride - 1) / stride, width_ = (width_ + stride - 1) / stride;
    if (coin()) batch_norm(to, clamp());  // no layer takes it in
  }

  void branch(layers::Sequential& to, Branch::Kind kind) {
    auto body = std::make_unique<layers::Sequential>();
    const int before = channels_;
    if (kind == Branch::Kind::gate) {
      body->add<layers::GlobalAvgPool>("mean");
      body->add<layers::Linear>("linear", {.in = before, .out = before});
      body->add<layers::Sigmoid>("sigmoid");
    } else {
      conv(*body, kind == Branch::Kind::add ? before : 1 + choose(4));
      if (kind == Branch::Kind::concat) channels_ += before;
    }
    to.append(fresh("branch"), std::make_unique<Branch>(kind, std::move(body), clamp()));
  }

  void step(layers::Sequential& to) {
    switch (choose(7)) {
      case 0:
        return pool(to);
      case 1:
        return branch(to, Branch::Kind::add);
      case 2:
        return branch(to, Branch::Kind::concat);
      case 3:
        return branch(to, Branch::Kind::gate);
      case 4:
        to.add<layers::Dropout>(fresh("drop"), {.rate = 0.1f});
        [[fallthrough]];
      default:
        conv(to, 1 + choose(6));
    }
  }

  Rng rng_;
  int channels_ = 1, height_ = 8, width_ = 8, count_ = 0;
};

}  // namespace

RandomModule::RandomModule(std::uint64_t seed) {
  Maker maker(seed);
  input = maker.input();
  model = maker.make();
  model->reset(Rng(seed, 2));
}
