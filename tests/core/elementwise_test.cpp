#include "support/errors.h"
#include "support/op_cases.h"
#include "support/threads.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace lathe {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor zeros(const Shape& shape) { return Tensor::zeros(shape); }
Tensor integers(const Shape& shape) { return Tensor::zeros(shape, Dtype::i32); }
std::vector<float> values(const Tensor& x) { return {x.span<float>().begin(), x.span<float>().end()}; }

TEST_CASE("element-wise operations on wrong inputs name the operation, shapes and types") {
  CHECK_ERROR(relu({}), "activate: input 0 must not be empty");
  CHECK_ERROR(sigmoid(integers({2})), "activate: inputs must be f32, given i32");
  CHECK_ERROR(add(zeros({2, 3}), zeros({3, 2})),
              "add: inputs must have the same shape, given [2,3] and [3,2]");
  CHECK_ERROR(add(zeros({2}), {}), "add: input 1 must not be empty");
  CHECK_ERROR(multiply(zeros({2, 3, 3, 4}), zeros({2, 3})), "given [2,3,3,4] and [2,3]");
  CHECK_ERROR(multiply(zeros({2}), integers({2})), "multiply: inputs must be f32, given i32");
  CHECK_ERROR(scale(integers({2}), 2), "scale: inputs must be f32, given i32");
  CHECK_ERROR(sum({}), "sum: input 0 must not be empty");
}

TEST_CASE("shape operations on wrong inputs name the operation and shapes") {
  CHECK_ERROR(reshape(zeros({2, 6}), {4}), "reshape: [2,6] has 12 elements, [2,4] has 8");
  CHECK_ERROR(reshape({}, {4}), "reshape: input 0 must not be empty");
  CHECK_ERROR(flatten({}), "flatten: input must be [N,...], given an empty handle");
  CHECK_ERROR(flatten(zeros({})), "flatten: input must be [N,...], given []");
  CHECK_ERROR(concat({}), "concat");
  CHECK_ERROR(concat(std::array{zeros({2, 3}), zeros({3, 3})}),
              "concat: inputs must agree in all but the last axis");
  CHECK_ERROR(concat(std::array{zeros({2, 3}), Tensor()}), "concat: input 1 must not be empty");
  CHECK_ERROR(concat(std::array{zeros({2, 3}), integers({2, 3})}), "concat: inputs must be f32, given i32");
  CHECK_ERROR(pad(zeros({2, 3, 3}), {1, 1, 1, 1}), "pad: input must be [N,H,W,C], given [2,3,3]");
  CHECK_ERROR(pad(zeros({1, 2, 3, 3}), {-1, 1, 1, 1}), "pad: amounts must not be negative");
}

TEST_CASE("no activation is no operation") {
  const Tensor x = zeros({3});
  CHECK(activate(x, Activation::none).is(x));
}

TEST_CASE("what is not a number goes through") {
  const Tensor x = Tensor::from({kNan, 1}, {2}), y = Tensor::from({1, 2}, {2});
  for (const Activation activation :
       {Activation::none, Activation::relu, Activation::relu6, Activation::sigmoid, Activation::silu}) {
    CHECK(std::isnan(values(activate(x, activation))[0]));
    CHECK(std::isnan(values(add(y, x, activation))[0]));
    CHECK(values(add(y, x, activation))[1] == doctest::Approx(values(activate(add(y, x), activation))[1]));
  }
  CHECK(std::isnan(values(multiply(x, y))[0]));
  CHECK(std::isnan(sum(x).item()));
  CHECK(std::isnan(sum(Tensor::from({kInfinity, -kInfinity}, {2})).item()));
}

TEST_CASE("the kinks of relu and relu6 have no slope") {
  Tensor x = Tensor::from({0, 6, -1, 7, 3}, {5});
  x.set_requires_grad(true);
  sum(relu(x)).backward();
  CHECK(values(x.grad()) == std::vector<float>{0, 1, 0, 1, 1});
  x.clear_grad();
  sum(relu6(x)).backward();
  CHECK(values(x.grad()) == std::vector<float>{0, 0, 0, 0, 1});
}

TEST_CASE("relu keeps its output alone for backward") {
  const Tensor x = Tensor::full({1000}, 1).set_requires_grad(true);
  Tensor hidden = scale(x, 2);
  const std::int64_t before = memory_stats().used_bytes;
  const Tensor y = relu(hidden);
  hidden = {};
  CHECK(memory_stats().used_bytes == before);  // y came, hidden went
}

TEST_CASE("a sum of many elements is exact to a rounding") {
  const Tensor x = Tensor::full({3'000'000}, 0.1f);
  CHECK(sum(x).item() == static_cast<float>(static_cast<double>(0.1f) * 3e6));
}

TEST_CASE("a sum is the same for any number of threads") {
  Rng rng(1);
  const Tensor x = testing::uniform({123'457}, rng), target = testing::uniform({123'457}, rng);
  std::vector<float> results;
  for (int threads : {1, 2, 3, 4}) {
    const Threads scope(threads);
    results.push_back(sum(x).item() + mean_squared_error(x, target).item());
  }
  CHECK(std::ranges::count(results, results[0]) == 4);
}

TEST_CASE("reshape shares the elements, and a shape that stays is no operation") {
  const Tensor x = zeros({2, 6});
  CHECK(flatten(x).is(x));
  Tensor y = reshape(x, {2, 3});
  y.mutable_span<float>()[0] = 5;
  CHECK(x.span<float>()[0] == 5);
}

TEST_CASE("dropout drops as many as it is told and scales the rest") {
  Rng rng(3);
  const Tensor x = Tensor::full({100'000}, 1);
  const Tensor y = dropout(x, 0.3f, rng);
  const auto dropped = std::ranges::count(y.span<float>(), 0.0f);
  CHECK(std::abs(static_cast<double>(dropped) / 1e5 - 0.3) < 0.005);
  CHECK(std::ranges::count(y.span<float>(), 1 / 0.7f) == 100'000 - dropped);
}

TEST_CASE("dropout moves its random numbers on by one word an element, for any number of threads") {
  const Tensor x = Tensor::full({30'001}, 1);
  std::vector<Tensor> results;
  for (int threads : {1, 2, 3}) {
    const Threads scope(threads);
    Rng rng(5, 6);
    results.push_back(dropout(x, 0.5f, rng));
    CHECK(rng.state() == Rng::State{5, 6, 30'001});
    results.push_back(dropout(x, 0.5f, rng));
  }
  for (std::size_t i = 2; i < results.size(); ++i)
    CHECK(std::ranges::equal(results[i].raw(), results[i % 2].raw()));
  CHECK_FALSE(std::ranges::equal(results[0].raw(), results[1].raw()));
}

TEST_CASE("dropout refuses impossible rates") {
  Rng rng(1);
  CHECK_ERROR(dropout(zeros({2}), 1, rng), "dropout: rate must be in [0,1), given 1");
  CHECK_ERROR(dropout(zeros({2}), kNan, rng), "dropout: rate must be in [0,1), given nan");
  CHECK_ERROR(dropout(integers({2}), 0.5f, rng), "dropout: inputs must be f32, given i32");
  CHECK(rng.state().position == 0);
}

}  // namespace
}  // namespace lathe
