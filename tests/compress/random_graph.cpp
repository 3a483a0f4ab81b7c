#include "random_graph.h"

#include <cmath>

using namespace lathe;
using namespace lathe::graph;

namespace {

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : rng_(seed) {}

  Graph make() {
    current_ = graph_.add_input("x", {1, 5 + below(5), 5 + below(5), 1 + below(6)});
    for (std::int64_t steps = 3 + below(7); steps > 0; --steps) step();
    head();
    return std::move(graph_);
  }

 private:
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(n)));
  }
  int choose(int n) { return static_cast<int>(below(n)); }
  bool coin() { return below(2) == 0; }
  const Shape& shape() const { return graph_.value(current_).shape; }
  std::string fresh(const char* kind) { return fmt::format("{}{}", kind, count_++); }

  ValueId constant(std::string name, const Shape& shape, float low, float high) {
    std::vector<float> elements(static_cast<std::size_t>(shape.size()));
    rng_.fill_uniform(elements, low, high);
    return graph_.add_constant(std::move(name), shape, elements);
  }

  void put(Op op, std::vector<ValueId> inputs, std::string name) {
    current_ = graph_.add_node(std::move(op), std::move(inputs), std::move(name));
  }

  Activation clamp() {
    return std::array{Activation::none, Activation::none, Activation::relu, Activation::relu6}[rng_.below(4)];
  }

  /// Weights that keep activations of order one; now and then computed out of two constants, like a mask.
  ValueId weight(const std::string& name, const Shape& shape) {
    const float bound = std::sqrt(3.f * static_cast<float>(shape[0]) / static_cast<float>(shape.size()));
    const ValueId plain = constant(name, shape, -bound, bound);
    if (below(4) != 0) return plain;
    return graph_.add_node(Multiply{}, {plain, constant(name + ".mask", shape, 0, 2)}, name + ".mask");
  }

  void conv(std::int64_t outputs, bool keep_extents) {
    const std::string name = fresh("conv");
    const std::int64_t channels = shape()[3], kernel_h = 1 + below(3), kernel_w = 1 + below(3);
    const bool depthwise = !keep_extents && below(3) == 0;
    const Padding padding = keep_extents || coin() ? Padding::same()
                            : coin()               ? Padding::symmetric(choose(2))
                                                   : Padding::valid();
    Conv2d op{
        .padding = padding, .groups = depthwise ? static_cast<int>(channels) : 1, .activation = clamp()};
    if (!keep_extents && below(3) == 0) op.stride_h = 1 + choose(2), op.stride_w = 1 + choose(2);
    const std::int64_t pad = 2 * padding.amount;
    const bool fits =
        padding.kind == Padding::Kind::same || (kernel_h <= shape()[1] + pad && kernel_w <= shape()[2] + pad);
    if (!fits) op.padding = Padding::same();
    const Shape extents{depthwise ? channels : outputs, kernel_h, kernel_w, depthwise ? 1 : channels};
    std::vector<ValueId> inputs{current_, weight(name + ".weight", extents)};
    if (coin()) inputs.push_back(constant(name + ".bias", {extents[0]}, -0.5f, 0.5f));
    put(op, inputs, name);
    if (coin()) norm();
    if (below(3) == 0) activate();
  }

  void norm() {
    const std::string name = fresh("bn");
    const Shape channels{shape()[-1]};
    std::vector<ValueId> inputs{current_, constant(name + ".gamma", channels, -1.5f, 1.5f),
                                constant(name + ".beta", channels, -0.5f, 0.5f),
                                constant(name + ".moving_mean", channels, -0.5f, 0.5f),
                                constant(name + ".moving_variance", channels, 0.2f, 2)};
    put(BatchNorm{.activation = clamp()}, inputs, name);
  }

  void activate() {
    const auto activation = static_cast<Activation>(1 + choose(4));
    put(Activate{activation}, {current_}, fresh("act"));
  }

  /// x * sigmoid(linear(mean(x)))
  void gate() {
    const ValueId x = current_;
    const std::int64_t channels = shape()[3];
    put(GlobalAvgPool{}, {x}, "");
    const std::string name = fresh("gate");
    put(Linear{}, {current_, weight(name + ".weight", {channels, channels})}, name);
    put(Activate{Activation::sigmoid}, {current_}, "");
    put(Multiply{}, {x, current_}, name);
  }

  void pool() {
    const int kernel_h = 1 + choose(static_cast<int>(std::min<std::int64_t>(shape()[1], 3)));
    const int kernel_w = 1 + choose(static_cast<int>(std::min<std::int64_t>(shape()[2], 3)));
    const Padding padding = coin() ? Padding::same() : Padding::valid();
    if (coin())
      put(MaxPool2d{kernel_h, kernel_w, 1 + choose(2), 1, padding}, {current_}, fresh("pool"));
    else
      put(AvgPool2d{kernel_h, kernel_w, 1, 1 + choose(2), padding}, {current_}, fresh("pool"));
  }

  void step() {
    const ValueId before = current_;
    switch (below(9)) {
      case 0:
      case 1:
        return conv(1 + below(6), false);
      case 2:
        return norm();
      case 3:
        return activate();
      case 4:
        put(coin() ? Pad{1, 1, 1, 1} : Pad{choose(3), choose(3), choose(3), choose(3)}, {current_},
            fresh("pad"));
        return conv(1 + below(6), false);
      case 5:
        conv(shape()[3], true);
        put(Add{clamp()}, {current_, before}, fresh("add"));
        if (coin()) activate();
        return;
      case 6:
        conv(1 + below(4), true);
        return put(Concat{}, {before, current_}, fresh("concat"));
      case 7:
        return gate();
      default:
        pool();
        // A branch that nothing reads.
        graph_.add_node(Activate{Activation::silu}, {before}, fresh("unused"));
    }
  }

  void head() {
    if (coin())
      put(GlobalAvgPool{}, {current_}, "mean");
    else
      put(Reshape{{shape().size()}}, {current_}, "flatten");
    std::vector<ValueId> inputs{current_, weight("head.weight", {7, shape()[1]})};
    if (coin()) inputs.push_back(constant("head.bias", {7}, -0.5f, 0.5f));
    put(Linear{}, inputs, "head");
    std::vector<ValueId> outputs{current_};
    if (below(3) == 0) outputs.push_back(graph_.add_node(Softmax{}, {current_}, "softmax"));
    graph_.set_outputs(outputs);
  }

  Graph graph_;
  Rng rng_;
  ValueId current_ = 0;
  int count_ = 0;
};

}  // namespace

Graph random_graph(std::uint64_t seed) { return Maker(seed).make(); }

Tensor random_input(const Graph& graph, std::int64_t batch, std::uint64_t seed) {
  Tensor x = Tensor::empty(graph.value(graph.inputs()[0]).shape.with(0, batch));
  Rng(seed, 1).fill_uniform(x.mutable_span<float>(), -1, 1);
  return x;
}
