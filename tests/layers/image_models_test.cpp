#include <lathe/core/autograd.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>

#include <cmath>

#include "support/errors.h"

using namespace lathe;

namespace {

layers::ParameterTotals totals(const char* name) {
  return layers::count_parameters(*layers::find_model(name).make());
}

Tensor noise(const Shape& shape, std::uint64_t seed) {
  Tensor x = Tensor::empty(shape);
  Rng(seed).fill_uniform(x.mutable_span<float>(), 0, 1);
  return x;
}

}  // namespace

TEST_CASE("the networks for photos have their published totals of parameters") {
  CHECK(totals("efficientnet_b0").all == 4'740'453);
  CHECK(totals("efficientnet_b0").trainable == 4'697'406);
  // 3,487,816 with the 1000 classes of ImageNet and batch norm folded; here two classes, and seven constants
  // of the normalisation.
  CHECK(totals("mobilenet_v2").trainable == 3'487'816 - 1001 * 1280 + 280 + 2 * 1281);
  CHECK(layers::count_parameters(*layers::mobilenet_v2(1000)).trainable == 3'487'816);
  CHECK(layers::count_parameters(*layers::mobilenet_v2(1000)).all == 3'487'823);
}

TEST_CASE("the networks of the zoo have their published totals of parameters, for the classes of ImageNet") {
  constexpr std::int64_t kNormalize = 7;  // constants that elsewhere are no part of the network
  const auto check_totals = [](std::unique_ptr<layers::Module> model, std::int64_t all, std::int64_t fixed) {
    CHECK(layers::count_parameters(*model).all == all + kNormalize);
    CHECK(layers::count_parameters(*model).trainable == all - fixed);
  };
  // Of Keras, moving statistics among them.
  check_totals(layers::mobilenet_v1(1000), 4'253'864, 21'888);
  check_totals(layers::resnet_v2_101(1000), 44'675'560, 97'664);
  check_totals(layers::inception_v3(1000), 23'851'784, 34'432);
}

TEST_CASE("the extents of images and channels within the networks of the zoo are those of their papers") {
  const auto ends = [](const char* name, const char* line) {
    const layers::ModelInfo& info = layers::find_model(name);
    const auto model = info.make();
    const std::string summary = layers::summary(*model, info.input);
    CAPTURE(summary);
    CHECK(summary.find(line) != std::string::npos);
  };
  ends("mobilenet_v1", "[1,7,7,1024]");
  ends("resnet_v2_101", "[1,10,10,2048]");
  ends("inception_v3", "[1,35,35,288]");
  ends("inception_v3", "[1,17,17,768]");
  ends("inception_v3", "[1,8,8,2048]");
}

TEST_CASE("the networks for photos give a logit for each class, and gradients to all parameters") {
  for (const char* name :
       {"small_cnn", "mobilenet_v2", "efficientnet_b0", "mobilenet_v1", "resnet_v2_101", "inception_v3"}) {
    CAPTURE(std::string(name));
    const layers::ModelInfo& info = layers::find_model(name);
    const auto model = info.make();
    model->reset(Rng(1));
    const Tensor images = noise(Shape{2, 80, 80, 3}, 1);
    const Tensor logits = (*model)(images);
    CHECK(logits.shape() == Shape{2, 2});
    const std::vector<std::int32_t> labels{0, 1};
    cross_entropy(logits, Tensor::from(std::span(labels), {2})).backward();
    for (const auto& named : model->parameters()) {
      CAPTURE(named.name);
      CHECK(static_cast<bool>(named.parameter.master().grad()));
    }
    model->eval();
    const NoGrad no_grad;
    const Tensor once = (*model)(images), again = (*model)(images);
    CHECK(std::equal(once.span<float>().begin(), once.span<float>().end(), again.span<float>().begin()));
  }
}

namespace {

/// Hands its input on, but for a factor; counts its calls.
struct Counting : layers::Transform {
  explicit Counting(float by) : factor(by) {}
  layers::Stage stage() const override { return layers::Stage::quantize; }
  Tensor apply(const Tensor& x) override {
    ++calls;
    return factor == 1 ? x : scale(x, factor);
  }
  bool keeps_order() const override { return orderly; }
  float factor;
  bool orderly = false;
  int calls = 0;
};

/// The part of a block that runs as one operation.
struct Joined {
  layers::Sequential model;
  layers::BatchNorm2d& norm = model.add<layers::BatchNorm2d>("bn", {.channels = 20});
  layers::Silu& silu = model.add<layers::Silu>("silu");
  layers::SqueezeExcite& excite = model.add<layers::SqueezeExcite>("se", {.channels = 20, .reduced = 5});

  Joined() { model.reset(Rng(3)); }
};

struct Pooled {
  layers::Sequential model;
  layers::Conv2d& conv =
      model.add<layers::Conv2d>("conv", {.in = 20, .out = 18, .activation = Activation::relu});
  layers::MaxPool2d& pool = model.add<layers::MaxPool2d>("pool");

  Pooled() { model.reset(Rng(3)); }
};

/// Output, gradients of input and parameters for the loss sum(output^2), and moving statistics.
std::vector<std::vector<float>> outcome(layers::Sequential& model) {
  const Tensor x = noise({3, 7, 5, 20}, 2).set_requires_grad(true);
  const Tensor y = model(x);
  sum(multiply(y, y)).backward();
  std::vector<std::vector<float>> result;
  const auto add = [&](const Tensor& tensor) {
    result.emplace_back(tensor.span<float>().begin(), tensor.span<float>().end());
  };
  add(y), add(x.grad());
  for (const auto& named : model.parameters()) add(named.parameter.master().grad());
  for (const auto& named : model.buffers()) add(named.tensor);
  return result;
}

void check_same(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    REQUIRE(a[i].size() == b[i].size());
    float most = 0, worst = 0;
    for (std::size_t k = 0; k < a[i].size(); ++k) {
      most = std::max(most, std::abs(b[i][k]));
      worst = std::max(worst, std::abs(a[i][k] - b[i][k]));
    }
    CHECK(most > 0);
    CHECK(worst <= 1e-5f * most);
  }
}

}  // namespace

TEST_CASE("batch norm, silu and squeeze-and-excite train as one operation as they do apart") {
  Joined together, apart, half;
  // Whoever looks between gets them apart.
  const auto behind_norm = std::make_shared<Counting>(1.0f), behind_mean = std::make_shared<Counting>(1.0f);
  apart.norm.set_output_transform(behind_norm);
  for (const auto& [path, module] : half.model.modules())
    if (path == "se.squeeze") module->set_output_transform(behind_mean);
  const auto expected = outcome(apart.model);
  CHECK(behind_norm->calls == 1);
  check_same(outcome(together.model), expected);
  check_same(outcome(half.model), expected);
  CHECK(behind_mean->calls == 1);
}

TEST_CASE("what is attached to a joined silu works") {
  Joined joined;
  const auto doubled = std::make_shared<Counting>(2.0f);
  joined.silu.set_output_transform(doubled);
  const Tensor x = noise({3, 7, 5, 20}, 2);
  Joined plain;
  const Tensor expected = plain.excite(scale(plain.silu(plain.norm(x)), 2));
  const Tensor given = joined.model(x);
  CHECK(doubled->calls == 1);
  for (std::size_t i = 0; i < given.span<float>().size(); ++i)
    REQUIRE(given.span<float>()[i] == doctest::Approx(expected.span<float>()[i]).epsilon(1e-5));
}

TEST_CASE("a convolution and a max pool train as one operation as they do apart") {
  Pooled together, apart, doubled;
  const auto behind_conv = std::make_shared<Counting>(1.0f), behind_pool = std::make_shared<Counting>(2.0f);
  apart.conv.set_output_transform(behind_conv);
  const auto expected = outcome(apart.model);
  CHECK(behind_conv->calls == 1);
  check_same(outcome(together.model), expected);
  doubled.pool.set_output_transform(behind_pool);
  const Tensor x = noise({3, 7, 5, 20}, 2);
  CHECK(sum(doubled.model(x)).item() == doctest::Approx(2 * sum(together.model(x)).item()));
  CHECK(behind_pool->calls == 1);
  // What keeps the order runs behind the pool, on a quarter of the elements.
  Pooled orderly, disorderly;
  for (Pooled* pooled : {&orderly, &disorderly}) {
    const auto tripled = std::make_shared<Counting>(3.0f);
    tripled->orderly = pooled == &orderly;
    pooled->conv.set_output_transform(tripled);
    pooled->conv.set_input_transform(std::make_shared<Counting>(0.5f));
  }
  check_same(outcome(orderly.model), outcome(disorderly.model));
  together.model.eval();
  const Tensor a = together.model(x), b = apart.model(x);
  CHECK(std::ranges::equal(a.span<float>(), b.span<float>()));
}

TEST_CASE("mobilenet_v2 names its tensors as torchvision does") {
  const auto model = layers::mobilenet_v2(1000);
  std::vector<std::pair<std::string, std::string>> shapes;
  for (const auto& [name, parameter] : model->parameters())
    shapes.emplace_back(name, to_string(parameter.master().shape()));
  CHECK(shapes.size() == 106);
  const auto shape_of = [&](const std::string& name) -> std::string {
    for (const auto& [own, shape] : shapes)
      if (own == name) return shape;
    return "none";
  };
  CHECK(shape_of("features.0.0.weight") == "[32,3,3,3]");
  CHECK(shape_of("features.1.conv.0.0.weight") == "[32,3,3,1]");
  CHECK(shape_of("features.1.conv.1.weight") == "[16,1,1,32]");
  CHECK(shape_of("features.2.conv.0.0.weight") == "[96,1,1,16]");
  CHECK(shape_of("features.17.conv.1.0.weight") == "[960,3,3,1]");
  CHECK(shape_of("features.17.conv.2.bias") == "[320]");
  CHECK(shape_of("features.18.0.weight") == "[1280,1,1,320]");
  CHECK(shape_of("classifier.1.weight") == "[1000,1280]");
}

TEST_CASE("Normalize: (x - mean) / deviation for each channel, with constants that reset restores") {
  layers::Normalize normalize({.mean = {0.5f, 0.25f}, .deviation = {0.5f, 0.125f}});
  const Tensor y = normalize(Tensor::from({0.5f, 0.25f, 1.0f, 0.5f}, {1, 1, 2, 2}));
  CHECK(y.shape() == Shape{1, 1, 2, 2});
  const float expected[] = {0, 0, 1, 2};
  for (std::size_t i = 0; i < 4; ++i) CHECK(y.span<float>()[i] == doctest::Approx(expected[i]));
  CHECK(layers::count_parameters(normalize).all == 5);
  CHECK(layers::count_parameters(normalize).trainable == 0);
  normalize.mean.mutable_span<float>()[0] = 7;
  normalize.reset(Rng(1));
  CHECK(normalize.mean.span<float>()[0] == 0.5f);
  CHECK_ERROR(layers::Normalize({.mean = {1, 2}, .deviation = {1}}), "Normalize: 2 means and 1 deviations");
  CHECK_ERROR(layers::Normalize({.mean = {1}, .deviation = {0}}), "Normalize: deviation 0 must be positive");
}

TEST_CASE("StochasticDepth leaves out whole samples in training and scales the others") {
  layers::StochasticDepth drop({.rate = 0.25f});
  drop.reset(Rng(3));
  const Tensor x = Tensor::full({400, 2, 2, 3}, 3);
  const Tensor y = drop(x);
  int dropped = 0;
  for (std::size_t sample = 0; sample < 400; ++sample) {
    const auto values = y.span<float>().subspan(sample * 12, 12);
    for (const float value : values) CHECK(value == values[0]);
    CHECK((values[0] == 0 || values[0] == doctest::Approx(4)));
    dropped += values[0] == 0;
  }
  CHECK(dropped > 70);
  CHECK(dropped < 130);
  drop.eval();
  const Tensor whole = drop(x);
  CHECK(whole.span<float>()[0] == 3);
  CHECK_ERROR(layers::StochasticDepth({.rate = 1}), "StochasticDepth: rate 1 must be in [0, 1)");
}

TEST_CASE("SqueezeExcite scales each channel by what its means say") {
  layers::SqueezeExcite layer({.channels = 2, .reduced = 1});
  // With zero weights every factor is sigmoid(bias).
  for (auto& [name, parameter] : layer.parameters()) {
    for (float& value : parameter.master().mutable_span<float>()) value = 0;
    if (name == "expand.bias") parameter.master().mutable_span<float>()[1] = std::log(3.0f);
  }
  const Tensor y = layer(Tensor::full({1, 2, 2, 2}, 4));
  for (std::size_t i = 0; i < 8; ++i) CHECK(y.span<float>()[i] == doctest::Approx(i % 2 == 0 ? 2 : 3));
}

TEST_CASE("a preactivation block adds its input, every other pixel of it, or a projection") {
  // With zero weights only the shortcut is left.
  const auto shortcut = [](const layers::PreactivationOptions& options) {
    layers::PreactivationBlock block(options);
    for (auto& [name, parameter] : block.parameters())
      if (name.ends_with("weight"))
        for (float& value : parameter.master().mutable_span<float>()) value = name.starts_with("projection");
    block.eval();
    Tensor x = Tensor::empty({1, 2, 2, 2});
    for (std::size_t i = 0; i < 8; ++i) x.mutable_span<float>()[i] = static_cast<float>(i) - 3;
    const Tensor y = block(x);
    return std::pair(y.shape(), std::vector<float>(y.span<float>().begin(), y.span<float>().end()));
  };
  const auto plain = shortcut({.in = 2, .width = 1, .out = 2});
  CHECK(plain.second == std::vector<float>{-3, -2, -1, 0, 1, 2, 3, 4});
  const auto thinned = shortcut({.in = 2, .width = 1, .out = 2, .stride = 2});
  CHECK(thinned.first == Shape{1, 1, 1, 2});
  CHECK(thinned.second == std::vector<float>{-3, -2});
  const auto projected = shortcut({.in = 2, .width = 1, .out = 3});
  CHECK(projected.first == Shape{1, 2, 2, 3});
  CHECK(projected.second[0] == 0);  // relu comes first
  CHECK(projected.second[11] == doctest::Approx(7));
}

TEST_CASE("branches read the same input and are joined in order") {
  layers::Branches branches;
  branches.append("one", std::make_unique<layers::Relu>());
  branches.append("two", std::make_unique<layers::Sigmoid>());
  const Tensor y = branches(Tensor::from({-1, 2}, {1, 1, 1, 2}));
  CHECK(y.shape() == Shape{1, 1, 1, 4});
  CHECK(y.span<float>()[0] == 0);
  CHECK(y.span<float>()[1] == 2);
  CHECK(y.span<float>()[3] == doctest::Approx(1 / (1 + std::exp(-2.0f))));
  CHECK_ERROR(branches.append("concat", std::make_unique<layers::Relu>()), "cannot be called concat");
  CHECK_ERROR(branches.append("one", std::make_unique<layers::Relu>()), "one");
}

TEST_CASE("Residual adds its input to what its body gives") {
  auto body = std::make_unique<layers::Sequential>();
  body->add<layers::Relu>("relu");
  layers::Residual residual("body", std::move(body));
  const Tensor y = residual(Tensor::from({-1, 2}, {1, 1, 1, 2}));
  CHECK(y.span<float>()[0] == -1);
  CHECK(y.span<float>()[1] == 4);
}
