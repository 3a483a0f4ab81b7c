#include "../../core/kernels/reference/compression.h"
#include "../../core/kernels/simd/simd.h"
#include "support/errors.h"

#include <lathe/base/random.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace lathe;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> elements(const Tensor& tensor) {
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

std::vector<float> look_up(std::vector<float> x, std::vector<float> centroids,
                           const graph::ClusterLookup& op = {}) {
  const Shape shape{static_cast<std::int64_t>(x.size())}, table{static_cast<std::int64_t>(centroids.size())};
  return elements(cluster_lookup(Tensor::from(std::span<const float>(x), shape),
                                 Tensor::from(std::span<const float>(centroids), table), op));
}

}  // namespace

TEST_CASE("a mask gives exactly +0 whatever is behind it") {
  const Tensor y =
      apply_mask(Tensor::from({-3, kNan, kInfinity, -0.5f}, {4}), Tensor::from({0, 0, 0, 1}, {4}));
  for (int i = 0; i < 3; ++i) {
    CHECK(y.span<float>()[static_cast<std::size_t>(i)] == 0);
    CHECK_FALSE(std::signbit(y.span<float>()[static_cast<std::size_t>(i)]));
  }
  CHECK(y.span<float>()[3] == -0.5f);
}

TEST_CASE("the gradient passes a mask unmasked") {
  Tensor x = Tensor::from({1, 2}, {2});
  x.set_requires_grad(true);
  apply_mask(x, Tensor::from({0, 1}, {2})).backward(Tensor::from({5, 7}, {2}));
  CHECK(elements(x.grad()) == std::vector<float>{5, 7});
}

TEST_CASE("equally near centroids: the lowest index wins, on either side") {
  CHECK(look_up({2, 2.5f, 3}, {1, 3}) == std::vector<float>{1, 3, 3});
  CHECK(look_up({2, 1.5f, 1}, {3, 1}) == std::vector<float>{3, 1, 1});
  // 0.1f + 0.7f is no float: no weight lies at the middle.
  const float middle = static_cast<float>((double{0.1f} + double{0.7f}) / 2);
  const bool above = double{middle} > (double{0.1f} + double{0.7f}) / 2;
  CHECK(look_up({middle}, {0.1f, 0.7f})[0] == (above ? 0.7f : 0.1f));
}

TEST_CASE("of equal centroids only the first has members") {
  Tensor centroids = Tensor::from({2, 2, -1}, {3});
  centroids.set_requires_grad(true);
  cluster_lookup(Tensor::from({2, 3, -1}, {3}), centroids).backward(Tensor::from({1, 10, 100}, {3}));
  CHECK(elements(centroids.grad()) == std::vector<float>{11, 0, 100});
}

TEST_CASE("the average of an empty cluster is zero") {
  Tensor centroids = Tensor::from({0, 9, 50}, {3});
  centroids.set_requires_grad(true);
  cluster_lookup(Tensor::from({1, 2, 10}, {3}), centroids, {.average = true})
      .backward(Tensor::from({1, 3, 7}, {3}));
  CHECK(elements(centroids.grad()) == std::vector<float>{2, 7, 0});
}

TEST_CASE("zero_first holds the first centroid at zero and without gradient, whatever is in it") {
  Tensor centroids = Tensor::from({0.75f, 1, -1}, {3}), x = Tensor::from({0.4f, 0, 0.6f}, {3});
  centroids.set_requires_grad(true);
  x.set_requires_grad(true);
  const Tensor y = cluster_lookup(x, centroids, {.zero_first = true});
  CHECK(elements(y) == std::vector<float>{0, 0, 1});
  y.backward(Tensor::from({1, 2, 4}, {3}));
  CHECK(elements(centroids.grad()) == std::vector<float>{0, 4, 0});
  CHECK(elements(x.grad()) == std::vector<float>{1, 2, 4});
}

TEST_CASE("what is not finite is not hidden by a lookup") {
  CHECK(std::isnan(look_up({kNan, 1}, {0, 1})[0]));
  CHECK(look_up({kNan, 1}, {0, 1})[1] == 1);
  CHECK(look_up({kInfinity, -kInfinity}, {0, 1}) == std::vector<float>{1, 0});
  for (float bad : {kNan, kInfinity})
    for (float value : look_up({0, 1}, {0, bad, 1})) CHECK(std::isnan(value));
}

TEST_CASE("lookups equal the definition for any centroids, in any order, at every level") {
  Rng rng(4);
  const int best = [] {
    int level = kernels::simd::kLevels - 1;
    while (kernels::simd::kernels_of_level(level) == nullptr) --level;
    return level;
  }();
  for (int level = 0; level <= best; ++level) {
    kernels::simd::use_level(level);
    for (int round = 0; round < 300; ++round) {
      const auto k = 1 + static_cast<std::int64_t>(rng.below(round % 3 == 0 ? 70 : 9));
      const auto n = 1 + static_cast<std::int64_t>(rng.below(200));
      Tensor centroids = Tensor::empty({k}), x = Tensor::empty({n});
      // Few different values, so that equal centroids and weights at the very middle are frequent.
      for (float& c : centroids.mutable_span<float>()) c = static_cast<float>(rng.below(17)) * 0.25f - 2;
      for (float& w : x.mutable_span<float>()) w = static_cast<float>(rng.below(81)) * 0.0625f - 2.5f;
      if (round % 2 == 0)
        for (float& w : x.mutable_span<float>()) w += rng.uniform(-1e-6f, 1e-6f);
      const bool zero_first = round % 5 == 0;
      CAPTURE(level);
      CAPTURE(round);
      Tensor expected = Tensor::empty({n}), index = Tensor::empty({n}, Dtype::i32);
      kernels::reference::lookup_forward({.books = 1, .size = n, .k = k, .zero_first = zero_first},
                                         x.span<float>().data(), centroids.span<float>().data(),
                                         expected.mutable_span<float>().data(),
                                         index.mutable_span<std::int32_t>().data());
      Tensor found = Tensor::empty({n}), found_index = Tensor::empty({n}, Dtype::i32);
      kernels::lookup_forward({.books = 1, .size = n, .k = k, .zero_first = zero_first},
                              x.span<float>().data(), centroids.span<float>().data(),
                              found.mutable_span<float>().data(),
                              found_index.mutable_span<std::int32_t>().data());
      CHECK(std::ranges::equal(found.span<float>(), expected.span<float>()));
      CHECK(std::ranges::equal(found_index.span<std::int32_t>(), index.span<std::int32_t>()));
    }
  }
  kernels::simd::use_level(best);
}

TEST_CASE("operations of compression refuse what does not fit") {
  const Tensor x = Tensor::zeros({4, 3});
  CHECK_ERROR(apply_mask(x, Tensor::zeros({3, 4})), "apply_mask: inputs must have the same shape");
  CHECK_ERROR(apply_mask(x, Tensor::zeros({4, 3}, Dtype::u8)), "apply_mask: inputs must be f32");
  Tensor mask = Tensor::zeros({4, 3});
  mask.set_requires_grad(true);
  CHECK_ERROR(apply_mask(x, mask), "the mask cannot have a gradient");
  CHECK_ERROR(cluster_lookup(x, Tensor::zeros({3, 8})),
              "centroids must be [K], or [C,K] for an input [C,...]");
  CHECK_ERROR(cluster_lookup(x, Tensor::zeros({1, 4, 8})), "given [1,4,8] for [4,3]");
  CHECK_ERROR(cluster_lookup(x, Tensor{}), "input 1 must not be empty");
}
