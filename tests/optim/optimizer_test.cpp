#include <lathe/base/random.h>
#include <lathe/optim/optimizer.h>
#include <support/errors.h>
#include <support/threads.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <span>

using namespace lathe;
using namespace lathe::optim;
using layers::NamedParameter;
using layers::Parameter;

namespace {

NamedParameter named(std::string name, const Shape& shape, std::uint64_t seed) {
  NamedParameter result{std::move(name), Parameter(shape)};
  Rng(seed).fill_uniform(result.parameter.master().mutable_span<float>(), -1, 1);
  return result;
}

void set_random_grad(NamedParameter& parameter, std::uint64_t seed) {
  Tensor grad = Tensor::empty(parameter.parameter.master().shape());
  Rng(seed).fill_uniform(grad.mutable_span<float>(), -1, 1);
  parameter.parameter.master().set_grad(grad);
}

std::vector<NamedParameter> several() {
  return {named("a", {3, 5}, 1), named("b", {70'000}, 2), named("c", {1}, 3), named("d", {0}, 4),
          named("e", {17, 9}, 5)};
}

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<NamedParameter>)>;

/// One of each kind, with options that use every part of the formula.
std::vector<Make> kinds() {
  return {
      [](auto p) { return std::make_unique<Sgd>(std::move(p), Sgd::Options{.weight_decay = 0.01f}); },
      [](auto p) {
        return std::make_unique<Sgd>(std::move(p),
                                     Sgd::Options{.momentum = 0.9f, .nesterov = true, .weight_decay = 0.01f});
      },
      [](auto p) { return std::make_unique<Adam>(std::move(p), Adam::Options{.weight_decay = 0.01f}); },
      [](auto p) { return std::make_unique<AdamW>(std::move(p), Adam::Options{.weight_decay = 0.01f}); },
      [](auto p) { return std::make_unique<RmsProp>(std::move(p), RmsProp::Options{.weight_decay = 0.01f}); },
  };
}

/// Values after so many steps with gradients that depend on the step.
std::vector<std::vector<float>> train(const Make& make, int steps) {
  std::vector<NamedParameter> parameters = several();
  const auto optimizer = make(parameters);
  for (int step = 0; step < steps; ++step) {
    for (std::size_t i = 0; i < parameters.size(); ++i) set_random_grad(parameters[i], 100 * step + i);
    optimizer->step();
  }
  std::vector<std::vector<float>> result;
  for (auto& p : parameters) {
    const auto values = p.parameter.master().span<float>();
    result.emplace_back(values.begin(), values.end());
  }
  return result;
}

float only(const NamedParameter& parameter) { return parameter.parameter.master().item(); }

/// One parameter with one element 2 and gradient 3.
NamedParameter scalar() {
  NamedParameter result{"x", Parameter(Shape{1})};
  result.parameter.master().mutable_span<float>()[0] = 2;
  result.parameter.master().set_grad(Tensor::full({1}, 3));
  return result;
}

}  // namespace

TEST_CASE("SGD takes the step of its formula") {
  NamedParameter x = scalar();
  Sgd sgd({x}, {.learning_rate = 0.1f, .momentum = 0.5f, .weight_decay = 0.25f});
  sgd.step();  // d = 3 + 0.25*2 = 3.5, v = 3.5
  CHECK(only(x) == doctest::Approx(2 - 0.35));
  sgd.step();  // d = 3 + 0.25*1.65 = 3.4125, v = 5.1625
  CHECK(only(x) == doctest::Approx(1.65 - 0.51625));
  CHECK(sgd.steps() == 2);

  NamedParameter y = scalar();
  Sgd nesterov({y}, {.learning_rate = 0.1f, .momentum = 0.5f, .nesterov = true});
  nesterov.step();  // d = v = 3: 3 + 0.5*3
  CHECK(only(y) == doctest::Approx(2 - 0.45));
}

TEST_CASE("Adam's first step is the learning rate against the gradient's sign") {
  for (const float gradient : {1e-3f, -40.0f}) {
    NamedParameter x = scalar();
    x.parameter.master().set_grad(Tensor::full({1}, gradient));
    Adam adam({x}, {.learning_rate = 0.01f});
    adam.step();
    // Keras' epsilon beside the uncorrected root: 1e-7 against sqrt(0.001)*|g|, a share of 0.3 % of the small
    // one.
    const double root = std::sqrt(0.001) * std::abs(gradient);
    CHECK(only(x) == doctest::Approx(2 - std::copysign(0.01 * root / (root + 1e-7), gradient)).epsilon(1e-6));
  }
}

TEST_CASE("AdamW decays the weight itself, Adam the gradient") {
  NamedParameter x = scalar(), y = scalar();
  x.parameter.master().set_grad(Tensor::zeros({1}));
  y.parameter.master().set_grad(Tensor::zeros({1}));
  AdamW adamw({x}, {.learning_rate = 0.1f, .weight_decay = 0.5f});
  Adam adam({y}, {.learning_rate = 0.1f, .weight_decay = 0.5f});
  adamw.step();
  adam.step();
  CHECK(only(x) == doctest::Approx(2 * (1 - 0.05)));
  CHECK(only(y) == doctest::Approx(2 - 0.1));
  CHECK(adamw.type() == "adamw");
  CHECK(adam.type() == "adam");
}

TEST_CASE("RMSprop divides by the root of the moving square") {
  NamedParameter x = scalar();
  RmsProp optimizer({x}, {.learning_rate = 0.1f, .rho = 0.75f});
  optimizer.step();  // v = 0.25*9
  CHECK(only(x) == doctest::Approx(2 - 0.1 * 3 / 1.5));
}

TEST_CASE("parameters whose names match learn at a share of the rate") {
  for (const Make& make : kinds()) {
    std::vector<NamedParameter> scaled = several(), slow = several(), plain = several();
    const auto a = make(scaled), b = make(slow), c = make(plain);
    CAPTURE(a->type());
    const std::string before = a->description();
    a->scale_learning_rate("[ab]", 0.5f);
    a->scale_learning_rate("b", 0.25f);  // the last call holds
    CHECK(a->description() == before + ", [ab] at 0.5 of the rate, b at 0.25 of the rate");
    b->set_learning_rate(0.25f * b->learning_rate());
    for (auto* parameters : {&scaled, &slow, &plain})
      for (std::size_t i = 0; i < parameters->size(); ++i) set_random_grad((*parameters)[i], i);
    for (const auto& optimizer : {&a, &b, &c}) (*optimizer)->step();
    const auto equal = [](const NamedParameter& x, const NamedParameter& y) {
      return std::ranges::equal(x.parameter.master().span<float>(), y.parameter.master().span<float>());
    };
    CHECK(equal(scaled[1], slow[1]));
    CHECK_FALSE(equal(scaled[0], slow[0]));
    CHECK_FALSE(equal(scaled[0], plain[0]));
    for (const std::size_t i : {2, 4}) CHECK(equal(scaled[i], plain[i]));
    CHECK_ERROR(a->scale_learning_rate("f*", 0.5f),
                "learning rate: 'f*' matches no parameter; there are: a, b, c, d, e");
    CHECK_ERROR(a->scale_learning_rate("a", -1), "'a' at -1 times the learning rate");
  }
}

TEST_CASE("a step gives the same bytes for any number of threads") {
  const auto train_on = [](int threads, const Make& make) {
    const Threads scope(threads);
    return train(make, 3);
  };
  for (const Make& make : kinds()) {
    const auto one = train_on(1, make);
    for (const int threads : {2, 3, 7}) CHECK(train_on(threads, make) == one);
  }
}

TEST_CASE("parameters without gradient stay, all without is an error") {
  NamedParameter x = scalar(), y = scalar();
  y.name = "y";
  y.parameter.master().clear_grad();
  Adam adam({x, y}, {});
  adam.step();
  CHECK(only(x) != 2);
  CHECK(only(y) == 2);
  CHECK(x.parameter.master().grad().item() == 3);
  adam.clear_grads();
  CHECK(!x.parameter.master().grad());
  CHECK_ERROR(adam.step(), "adam: no parameter has a gradient");
  CHECK(adam.steps() == 1);
}

TEST_CASE("an optimiser restored from another's state goes on with the same bytes") {
  for (const Make& make : kinds()) {
    std::vector<NamedParameter> a = several(), b = several();
    const auto first = make(a);
    for (std::size_t i = 0; i < a.size(); ++i) set_random_grad(a[i], i);
    first->step();
    first->step();

    const auto second = make(b);
    std::vector<layers::NamedTensor> copy;
    for (const auto& [name, tensor] : first->state()) copy.push_back({name, tensor.clone()});
    std::ranges::reverse(copy);
    second->restore(copy, first->steps());
    for (std::size_t i = 0; i < a.size(); ++i) {
      std::ranges::copy(a[i].parameter.master().raw(), b[i].parameter.master().mutable_raw().begin());
      set_random_grad(a[i], 50 + i);
      set_random_grad(b[i], 50 + i);
    }
    first->step();
    second->step();
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(std::ranges::equal(a[i].parameter.master().raw(), b[i].parameter.master().raw()));
    CHECK(second->steps() == 3);
  }
}

TEST_CASE("a state that does not fit is refused and changes nothing") {
  NamedParameter x = scalar();
  Adam adam({x}, {});
  adam.step();
  const auto state = adam.state();
  REQUIRE(state.size() == 2);
  CHECK(state[0].name == "adam.m.x");
  CHECK(state[1].name == "adam.v.x");
  const float m = state[0].tensor.item();
  const layers::NamedTensor new_m{"adam.m.x", Tensor::full({1}, 9)}, new_v{"adam.v.x", Tensor::full({1}, 9)};
  CHECK_ERROR(adam.restore({new_m}, 1), "'adam.v.x' is missing");
  CHECK_ERROR(adam.restore({new_m, new_v, {"adam.v.y", Tensor::zeros({1})}}, 1), "'adam.v.y' is not part");
  CHECK_ERROR(adam.restore({new_m, new_v, new_v}, 1), "'adam.v.x' is given twice");
  CHECK_ERROR(adam.restore({new_m, {"adam.v.x", Tensor::zeros({2})}}, 1), "has shape [2], expected [1]");
  CHECK_ERROR(adam.restore({new_m, {"adam.v.x", Tensor::zeros({1}, Dtype::i32)}}, 1), "is not f32");
  CHECK_ERROR(adam.restore({new_m, {"adam.v.x", Tensor()}}, 1), "is not f32");
  CHECK_ERROR(adam.restore({new_m, new_v}, -1), "-1 steps");
  CHECK(state[0].tensor.item() == m);
  CHECK(adam.steps() == 1);
}

TEST_CASE("options out of range are named at construction") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<NamedParameter> p = {scalar()};
  CHECK_ERROR(Sgd(p, {.learning_rate = -1}), "the learning rate is -1, expected a finite number >= 0");
  CHECK_ERROR(Sgd(p, {.learning_rate = nan}), "the learning rate is nan");
  CHECK_ERROR(Sgd(p, {.momentum = 1}), "sgd: momentum is 1, expected 0 <= momentum < 1");
  CHECK_ERROR(Sgd(p, {.momentum = nan}), "sgd: momentum is nan");
  CHECK_ERROR(Sgd(p, {.nesterov = true}), "nesterov needs a momentum > 0");
  CHECK_ERROR(Sgd(p, {.weight_decay = -1}), "sgd: weight_decay is -1");
  CHECK_ERROR(Adam(p, {.beta1 = 1}), "adam: beta1 is 1");
  CHECK_ERROR(Adam(p, {.beta2 = -0.5f}), "adam: beta2 is -0.5");
  CHECK_ERROR(Adam(p, {.epsilon = 0}), "adam: epsilon is 0");
  CHECK_ERROR(AdamW(p, {.weight_decay = INFINITY}), "adamw: weight_decay is inf");
  CHECK_ERROR(RmsProp(p, {.rho = 1.5f}), "rmsprop: rho is 1.5");
  CHECK_ERROR(RmsProp(p, {.epsilon = -1}), "rmsprop: epsilon is -1");
  Sgd sgd(p, {});
  CHECK_ERROR(sgd.set_learning_rate(INFINITY), "the learning rate is inf");
  CHECK(sgd.learning_rate() == 0.01f);
}

TEST_CASE("parameters that are missing, empty or given twice are refused") {
  NamedParameter x = scalar(), other = scalar();
  CHECK_ERROR(Sgd({}, {}), "there are no parameters");
  CHECK_ERROR(Sgd({x, {"y", Parameter()}}, {}), "parameter 'y' is empty");
  CHECK_ERROR(Sgd({x, other}, {}), "two parameters are named 'x'");
  CHECK_ERROR(Sgd({x, {"y", x.parameter}}, {}), "parameters 'x' and 'y' are the same tensor");
  other.name = "frozen";
  other.parameter.master().clear_grad();
  other.parameter.master().set_requires_grad(false);
  CHECK_ERROR(Sgd({x, other}, {}), "parameter 'frozen' does not require a gradient");
}

TEST_CASE("clipping scales all gradients to the joint norm and returns the norm before") {
  std::vector<NamedParameter> p = {named("a", {2}, 1), named("b", {1}, 2), named("none", {4}, 3)};
  const Tensor grad = Tensor::from({3, 0}, {2});
  p[0].parameter.master().set_grad(grad);
  p[1].parameter.master().set_grad(Tensor::from({-4}, {1}));
  CHECK(clip_grad_norm(p, 10) == 5);
  CHECK(p[1].parameter.master().grad().item() == -4);
  CHECK(clip_grad_norm(p, 1) == 5);
  CHECK(grad.span<float>()[0] == doctest::Approx(0.6));
  CHECK(p[1].parameter.master().grad().item() == doctest::Approx(-0.8));
  CHECK(clip_grad_norm(p, 1) == doctest::Approx(1));
}

TEST_CASE("the norm of large gradients is the same for any number of threads") {
  std::vector<NamedParameter> p = several();
  for (std::size_t i = 0; i < p.size(); ++i) set_random_grad(p[i], i);
  double exact = 0;
  for (auto& parameter : p) {
    const Tensor grad = parameter.parameter.master().grad();
    for (float g : grad.span<float>()) exact += static_cast<double>(g) * static_cast<double>(g);
  }
  const Threads one_thread(1);
  const float one = clip_grad_norm(p, 1e6f);
  CHECK(one == doctest::Approx(std::sqrt(exact)).epsilon(1e-7));
  const Threads three_threads(3);
  CHECK(clip_grad_norm(p, 1e6f) == one);
}

TEST_CASE("a norm that is not finite leaves the gradients as they are") {
  std::vector<NamedParameter> p = {named("a", {2}, 1)};
  const Tensor grad = Tensor::from({5, INFINITY}, {2});
  p[0].parameter.master().set_grad(grad);
  CHECK(std::isinf(clip_grad_norm(p, 1)));
  CHECK(grad.span<float>()[0] == 5);
  CHECK_ERROR(clip_grad_norm(p, 0), "max_norm is 0");
  CHECK_ERROR(clip_grad_norm(p, std::numeric_limits<float>::quiet_NaN()), "max_norm is nan");
}
