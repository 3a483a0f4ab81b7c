#include "support/op_cases.h"
#include "support/threads.h"

#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/core/precision.h>

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

namespace lathe {
namespace {

/// A network of most kinds of operations, trained by hand on pictures whose label is the brightest quarter.
class Network {
 public:
  explicit Network(std::uint64_t seed, Precision precision = Precision::f32)
      : precision_(precision), rng_(seed) {
    first_ = parameter(testing::uniform({16, 3, 3, 1}, rng_, -0.4f, 0.4f));
    kernel_ = parameter(testing::uniform({8, 3, 3, 16}, rng_, -0.1f, 0.1f));
    gamma_ = parameter(Tensor::full({8}, 1));
    beta_ = parameter(Tensor::zeros({8}));
    weight_ = parameter(testing::uniform({4, 8 * 16}, rng_, -0.1f, 0.1f));
    bias_ = parameter(Tensor::zeros({4}));
  }

  Tensor loss(const Tensor& x, const Tensor& labels) {
    const PrecisionScope scope(precision_);
    Tensor y = conv2d(x, first_, {}, {.padding = Padding::same(), .activation = Activation::relu});
    y = conv2d(y, kernel_, {}, {.padding = Padding::same()});
    y = batch_norm(y, gamma_, beta_, mean_, variance_, {.training = true, .activation = Activation::relu});
    y = add(y, silu(y));
    y = flatten(max_pool2d(y));
    return cross_entropy(linear(dropout(y, 0.1f, rng_), weight_, bias_), labels, 0.01f);
  }

  float step() {
    constexpr std::int64_t kBatch = 64;
    Tensor x = testing::uniform({kBatch, 8, 8, 1}, rng_, 0, 1), labels = Tensor::empty({kBatch}, Dtype::i32);
    for (std::int64_t n = 0; n < kBatch; ++n) {
      const auto label = static_cast<std::int32_t>(rng_.below(4));
      labels.mutable_span<std::int32_t>()[static_cast<std::size_t>(n)] = label;
      for (std::int64_t i = 0; i < 16; ++i)
        x.mutable_span<float>()[static_cast<std::size_t>(n * 64 + (label / 2 * 4 + i / 4) * 8 +
                                                         label % 2 * 4 + i % 4)] += 0.3f;
    }
    const Tensor result = loss(x, labels);
    result.backward();
    for (Tensor& tensor : parameters_) {
      const Tensor grad = tensor.grad();
      for (std::size_t i = 0; float& value : tensor.mutable_span<float>())
        value -= 0.1f * grad.span<float>()[i++];
      tensor.clear_grad();
    }
    return result.item();
  }

  const std::vector<Tensor>& parameters() const { return parameters_; }

 private:
  Tensor parameter(Tensor tensor) {
    tensor.set_requires_grad(true);
    return parameters_.emplace_back(tensor);
  }

  Precision precision_;
  Rng rng_;
  std::vector<Tensor> parameters_;
  Tensor first_, kernel_, gamma_, beta_, weight_, bias_;
  Tensor mean_ = Tensor::zeros({8}), variance_ = Tensor::full({8}, 1);
};

/// Those that this processor has.
std::vector<Precision> precisions() {
  std::vector<Precision> result{Precision::f32};
  if (is_supported(Precision::bf16)) result.push_back(Precision::bf16);
  return result;
}

TEST_CASE("a small network learns") {
  for (const Precision precision : precisions()) {
    CAPTURE(to_string(precision));
    Network network(1, precision);
    const float first = network.step();
    float last = 0;
    for (int i = 0; i < 60; ++i) last = network.step();
    CHECK(first > 1.2f);
    CHECK(last < 0.4f);
  }
}

TEST_CASE("a training step in its steady state asks the system for nothing") {
  for (const Precision precision : precisions()) {
    CAPTURE(to_string(precision));
    Network network(2, precision);
    for (int i = 0; i < 3; ++i) network.step();
    const MemoryStats before = memory_stats();
    for (int i = 0; i < 5; ++i) network.step();
    CHECK(memory_stats().system_allocations == before.system_allocations);
    CHECK(memory_stats().used_bytes == before.used_bytes);
    CHECK(memory_stats().cached_bytes == before.cached_bytes);
  }
}

TEST_CASE("training twice gives the same bytes") {
  for (const Precision precision : precisions())
    for (int threads : {1, 2}) {
      const Threads scope(threads);
      Network a(3, precision), b(3, precision);
      for (int i = 0; i < 5; ++i) CHECK(a.step() == b.step());
      for (std::size_t p = 0; p < a.parameters().size(); ++p)
        CHECK(std::ranges::equal(a.parameters()[p].raw(), b.parameters()[p].raw()));
    }
}

}  // namespace
}  // namespace lathe
