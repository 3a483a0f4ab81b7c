#include "support/errors.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

using namespace lathe;

namespace {

Grads double_backward(const Node&, const Tensor& grad) {
  Tensor result = grad.clone();
  for (float& value : result.mutable_span<float>()) value *= 2;
  return {result};
}

/// 2 x, written as an operation of a user.
Tensor twice(const Tensor& x) {
  Tensor output = x.detach().clone();
  for (float& value : output.mutable_span<float>()) value *= 2;
  return record(graph::Scale{2}, {&x, 1}, output, {}, double_backward);
}

/// Hands one gradient to both inputs: what an engine must not write through.
Grads plus_backward(const Node&, const Tensor& grad) { return {grad, grad}; }

Tensor plus(const Tensor& a, const Tensor& b) {
  Tensor output = a.clone();
  for (std::int64_t i = 0; i < a.size(); ++i)
    output.mutable_span<float>()[static_cast<std::size_t>(i)] += b.span<float>()[static_cast<std::size_t>(i)];
  const Tensor inputs[] = {a, b};
  return record(graph::Add{}, inputs, output, {}, plus_backward);
}

Grads square_backward(const Node& node, const Tensor& grad) {
  Tensor result = grad.clone();
  for (std::int64_t i = 0; i < grad.size(); ++i)
    result.mutable_span<float>()[static_cast<std::size_t>(i)] *=
        2 * node.saved[0].span<float>()[static_cast<std::size_t>(i)];
  return {result};
}

Tensor square(const Tensor& x) {
  Tensor output = x.clone();
  for (float& value : output.mutable_span<float>()) value *= value;
  return record(graph::Scale{}, {&x, 1}, output, {x}, square_backward);
}

Tensor leaf(std::initializer_list<float> elements) {
  return Tensor::from(elements, {static_cast<std::int64_t>(elements.size())}).set_requires_grad(true);
}

std::vector<float> values(const Tensor& x) { return {x.span<float>().begin(), x.span<float>().end()}; }

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("a gradient runs through a chain") {
  const Tensor x = leaf({3});
  square(twice(x)).backward();
  CHECK(x.grad().item() == 8 * 3);
}

TEST_CASE("gradients of a value that is used several times add up") {
  const Tensor x = leaf({1, 2});
  const Tensor y = twice(x);
  const Tensor z = plus(plus(y, square(y)), plus(y, y));  // 3 y + y^2, used five times
  z.backward(Tensor::from({1, 10}, {2}));
  CHECK(values(x.grad()) == Floats{2 * (3 + 2 * 2), 20 * (3 + 2 * 4)});
}

TEST_CASE("a second use as the direct input of the same operation counts") {
  const Tensor x = leaf({5});
  plus(x, x).backward();
  CHECK(x.grad().item() == 2);
}

TEST_CASE("backward adds to a gradient that is there") {
  const Tensor x = leaf({1});
  twice(x).backward();
  twice(x).backward();
  CHECK(x.grad().item() == 4);
  Tensor y = x;
  y.set_grad(Tensor::from({100}, {1}));
  twice(x).backward();
  CHECK(x.grad().item() == 102);
  y.clear_grad();
  CHECK_FALSE(x.grad());
}

TEST_CASE("one gradient given to two leaves is not shared between them") {
  const Tensor a = leaf({1}), b = leaf({2});
  Tensor seed = Tensor::from({7}, {1});
  plus(a, b).backward(seed);
  Tensor grad = a.grad();
  grad.mutable_span<float>()[0] = -1;
  CHECK(b.grad().item() == 7);
  seed.mutable_span<float>()[0] = -2;
  CHECK(b.grad().item() == 7);
  plus(a, b).backward(Tensor::from({1}, {1}));
  CHECK(b.grad().item() == 8);
  CHECK(a.grad().item() == 0);
}

TEST_CASE("a gradient kept by the user is not changed by a later backward") {
  const Tensor x = leaf({1});
  twice(x).backward();
  const Tensor kept = x.grad();
  twice(x).backward();
  CHECK(kept.item() == 2);
  CHECK(x.grad().item() == 4);
}

TEST_CASE("a gradient set by the user is not changed by backward") {
  Tensor x = leaf({1});
  const Tensor given = Tensor::from({10}, {1});
  x.set_grad(given);
  twice(x).backward();
  CHECK(given.item() == 10);
  CHECK(x.grad().item() == 12);
}

TEST_CASE("a gradient handed to backward is not changed by operations that work in place") {
  const Tensor x = leaf({-1, 2, 3});
  const Tensor given = Tensor::from({10, 20, 30}, {3});
  const Tensor outputs[] = {relu(x), silu(x), scale(x, 3)};
  for (const Tensor& y : outputs) {
    y.backward(given);
    CHECK(std::ranges::equal(given.span<float>(), std::vector<float>{10, 20, 30}));
  }
}

TEST_CASE("nothing is recorded without a need or under NoGrad") {
  const Tensor x = leaf({1}), constant = Tensor::from({1}, {1});
  CHECK_FALSE(twice(constant).requires_grad());
  CHECK(twice(x).requires_grad());
  {
    const NoGrad outer;
    {
      const NoGrad inner;
      CHECK_FALSE(grad_enabled());
    }
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE(twice(x).requires_grad());
    CHECK_FALSE(needs_grad({&x}));
    bool enabled_elsewhere = false;
    std::thread([&] { enabled_elsewhere = grad_enabled(); }).join();
    CHECK(enabled_elsewhere);
  }
  CHECK(grad_enabled());
  CHECK(needs_grad({&constant, &x}));
  CHECK_FALSE(needs_grad({&constant}));
}

TEST_CASE("a branch that needs no gradient gets none") {
  const Tensor x = leaf({1}), constant = Tensor::from({1}, {1});
  plus(x, constant).backward();
  CHECK(x.grad().item() == 1);
  CHECK_FALSE(constant.grad());
}

TEST_CASE("a detached tensor ends the gradient's way") {
  const Tensor x = leaf({3});
  const Tensor y = twice(x);
  plus(y, y.detach()).backward();
  CHECK(x.grad().item() == 2);
}

TEST_CASE("a leaf can be frozen after it was used") {
  Tensor x = leaf({3});
  const Tensor y = twice(x);
  x.set_requires_grad(false);
  y.backward();
  CHECK_FALSE(x.grad());
}

TEST_CASE("a second backward through the same operations is refused") {
  const Tensor x = leaf({3});
  const Tensor y = twice(x);
  const Tensor z = square(y);
  z.backward();
  CHECK_ERROR(z.backward(), "backward: the tape before scale was released by an earlier backward()");
  CHECK_ERROR(square(y).backward(), "released");
  CHECK(x.grad().item() == 24);  // the refused ones added nothing
}

TEST_CASE("backward without anything to differentiate is refused") {
  const Tensor x = leaf({1, 2}), constant = Tensor::from({1}, {1});
  CHECK_ERROR(constant.backward(), "nothing that this tensor was computed from requires a gradient ([1])");
  CHECK_ERROR(twice(x).backward(), "backward: expected a scalar, given shape [2]");
  CHECK_ERROR(twice(x).backward(Tensor::zeros({3})), "the given gradient is f32[3], the tensor is f32[2]");
  CHECK_ERROR(twice(x).backward(Tensor()), "the given gradient is empty, the tensor is f32[2]");
  CHECK_ERROR(Tensor().backward(), "empty handle");
}

TEST_CASE("gradients are set on f32 leaves only") {
  Tensor x = leaf({1, 2}), y = twice(x), labels = Tensor::zeros({2}, Dtype::i32);
  CHECK_ERROR(y.set_requires_grad(false), "the tensor is the result of an operation");
  CHECK_ERROR(labels.set_requires_grad(true), "only f32 tensors have gradients, given i32[2]");
  CHECK_ERROR(x.set_grad(Tensor::zeros({3})), "the gradient f32[3] does not match the tensor f32[2]");
  CHECK_ERROR(y.set_grad(Tensor::zeros({2})), "only leaves");
}

TEST_CASE("an operation's gradient of a wrong shape is refused with its name") {
  const Tensor x = leaf({1, 2});
  const Tensor y = record(graph::Scale{}, {&x, 1}, x.clone(), {},
                          [](const Node&, const Tensor&) { return Grads{Tensor::zeros({5})}; });
  CHECK_ERROR(y.backward(Tensor::zeros({2})),
              "backward of scale: the gradient of input 0 is f32[5], the input was [2]");
}

TEST_CASE("what was saved is freed by backward, or with the last handle") {
  const Tensor x = leaf({1});
  const std::int64_t before = memory_stats().used_bytes;
  {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = square(y);
    CHECK(memory_stats().used_bytes == before + 10 * 64);  // each input is saved, the last output is held
    y.backward();
    CHECK(memory_stats().used_bytes == before + 2 * 64);  // the last output and the gradient
  }
  Tensor y = x;
  for (int i = 0; i < 10; ++i) y = square(y);
  y = {};
  CHECK(memory_stats().used_bytes == before + 64);
}

TEST_CASE("an operation that saves its own output is freed") {
  const Tensor x = leaf({1});
  const std::int64_t before = memory_stats().used_bytes;
  for (int i = 0; i < 3; ++i) {
    const Tensor y = x.clone();
    const Tensor z = record(graph::Scale{}, {&x, 1}, y, {y}, square_backward);
    CHECK(z.requires_grad());
  }
  CHECK(memory_stats().used_bytes == before);
}

TEST_CASE("a chain of 100,000 operations is differentiated and freed without recursion") {
  const Tensor x = leaf({1});
  const auto chain = [&] {
    Tensor y = x;
    for (int i = 0; i < 50'000; ++i) y = plus(y, plus(y, y).detach());
    for (int i = 0; i < 50'000; ++i)
      y = record(graph::Scale{}, std::vector<Tensor>{y, y}, y.clone(), {},
                 [](const Node&, const Tensor& grad) {
                   return Grads{grad, {}};
                 });
    return y;
  };
  chain();  // freed without backward
  chain().backward();
  CHECK(x.grad().item() == 1);
}

TEST_CASE("threads run tapes of their own at the same time") {
  std::vector<std::thread> threads;
  std::vector<float> grads(4);
  for (std::size_t t = 0; t < grads.size(); ++t)
    threads.emplace_back([&grads, t] {
      const Tensor x = leaf({static_cast<float>(t)});
      for (int round = 0; round < 200; ++round) square(twice(x)).backward();
      grads[t] = x.grad().item();
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(grads == Floats{0, 1600, 3200, 4800});
}

TEST_CASE("a tape in its steady state asks the system for nothing") {
  Tensor x = Tensor::full({1000}, 0.5f).set_requires_grad(true);
  const auto step = [&] {
    x.clear_grad();
    Tensor y = x;
    for (int i = 0; i < 20; ++i) y = plus(square(y), twice(y));
    y.backward(Tensor::full({1000}, 1));
  };
  step();
  step();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 10; ++i) step();
  CHECK(memory_stats().system_allocations == before.system_allocations);
  CHECK(memory_stats().used_bytes == before.used_bytes);
}
