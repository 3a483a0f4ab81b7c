#include <lathe/base/random.h>
#include <lathe/compress/mask.h>
#include "support/errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::compress;

namespace {

using Floats = std::vector<float>;

Floats random_weights(std::int64_t n, std::uint64_t seed = 1) {
  Floats weights(static_cast<std::size_t>(n));
  Rng(seed).fill_uniform(weights, -1, 1);
  return weights;
}

Floats magnitudes(Floats weights) {
  for (float& w : weights) w = std::abs(w);
  return weights;
}

Floats magnitude_mask(const Floats& weights, float sparsity) {
  const Floats scores = magnitudes(weights);
  Floats mask(weights.size());
  threshold_mask(scores, magnitude_threshold(scores, sparsity), mask);
  return mask;
}

std::int64_t zeros(const Floats& mask) { return std::ranges::count(mask, 0.0f); }

Floats block_mask(const Floats& weights, const Shape& shape, const Block& block, float sparsity) {
  const Floats scores = block_scores(weights, shape, block);
  Floats kept(scores.size()), mask(weights.size());
  threshold_mask(scores, magnitude_threshold(scores, sparsity), kept);
  expand_blocks(kept, shape, block, mask);
  return mask;
}

Floats fine(const Floats& weights, const Shape& shape, const FineGrained& pattern) {
  Floats mask(weights.size());
  fine_grained_mask(weights, shape, pattern, mask);
  return mask;
}

}  // namespace

TEST_CASE("the number kept is that of the reference, for the models at hand") {
  CHECK(kept_count(288, 0.8f) == 58);
  CHECK(kept_count(18432, 0.8f) == 3686);
  CHECK(kept_count(16000, 0.8f) == 3200);
  for (const auto& [n, expected] : {std::pair{288, 230}, {18432, 14746}, {16000, 12800}})
    CHECK(zeros(magnitude_mask(random_weights(n), 0.8f)) == expected);
}

TEST_CASE("halves are rounded to even, and one weight always stays") {
  CHECK(kept_count(5, 0.5f) == 2);  // 2.5
  CHECK(kept_count(7, 0.5f) == 4);  // 3.5
  CHECK(kept_count(3, 0.5f) == 2);  // 1.5
  CHECK(kept_count(1, 0.5f) == 1);  // 0.5: none, but for the rule
  CHECK(kept_count(10, 0.999f) == 1);
  CHECK(kept_count(10, 0) == 10);
  CHECK(zeros(magnitude_mask(random_weights(1000), 0.99999f)) == 999);
  CHECK(zeros(magnitude_mask(random_weights(1000), 0)) == 0);
}

TEST_CASE("the largest magnitudes stay") {
  CHECK(magnitude_mask({0.1f, -0.9f, 0.3f, -0.2f}, 0.5f) == Floats{0, 1, 1, 0});
}

TEST_CASE("all ties at the threshold stay") {
  CHECK(magnitude_mask({1, -1, 1, 0.5f, -1, 2}, 0.5f) == Floats{1, 1, 1, 0, 1, 1});
  CHECK(magnitude_mask({3, 3, 3, 3}, 0.75f) == Floats{1, 1, 1, 1});
  // Zero is a magnitude like any other.
  CHECK(magnitude_mask({0, 0, 0, 1}, 0.5f) == Floats{1, 1, 1, 1});
}

TEST_CASE("a weight that is not a number stays, to be found") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Floats mask = magnitude_mask({0.1f, nan, 0.3f, 5}, 0.5f);
  CHECK(mask == Floats{0, 1, 0, 1});
}

TEST_CASE("sparsities out of range and empty tensors are refused") {
  CHECK_ERROR(kept_count(10, 1), "sparsity is 1, expected 0 <= sparsity < 1");
  CHECK_ERROR(kept_count(10, -0.5f), "sparsity is -0.5");
  CHECK_ERROR(kept_count(0, 0.5f), "there is nothing to prune");
}

TEST_CASE("blocks run along output channels and flattened inputs") {
  // A linear weight [4,4] in blocks of 2 outputs and 2 inputs.
  const Floats weights = {9, 0, 1, 1,  //
                          0, 0, 1, 1,  //
                          2, 2, 0, 0,  //
                          2, 2, 0, 3};
  const Block average{.outputs = 2, .inputs = 2};
  CHECK(block_scores(weights, {4, 4}, average) == Floats{2.25f, 1, 2, 0.75f});
  CHECK(block_mask(weights, {4, 4}, average, 0.5f) == Floats{1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0});
  const Block most{.outputs = 2, .inputs = 2, .pooling = Block::Pooling::max};
  CHECK(block_scores(weights, {4, 4}, most) == Floats{9, 1, 2, 3});
  CHECK(block_mask(weights, {4, 4}, most, 0.5f) == Floats{1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1});
}

TEST_CASE("a convolution is a matrix of outputs and kernel row, kernel column, input channel") {
  // [2,2,1,3]: rows of 6; blocks of 1 x 3 are one kernel position each.
  const Floats weights = {1, 1, 1, 5, 5, 5, 2, 2, 2, 3, 3, 3};
  CHECK(block_scores(weights, {2, 2, 1, 3}, {.inputs = 3}) == Floats{1, 5, 2, 3});
  CHECK(block_mask(weights, {2, 2, 1, 3}, {.inputs = 3}, 0.5f) == Floats{0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1});
  // A whole filter at once.
  CHECK(block_mask(weights, {2, 2, 1, 3}, {.inputs = 6}, 0.5f) == Floats{1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("blocks at the edges are averaged over what is inside") {
  const Floats weights = {1, 1, 4,  //
                          1, 1, 4,  //
                          2, 2, 3};
  CHECK(block_scores(weights, {3, 3}, {.outputs = 2, .inputs = 2}) == Floats{1, 4, 2, 3});
  CHECK(block_mask(weights, {3, 3}, {.outputs = 2, .inputs = 2}, 0.5f) == Floats{0, 0, 1, 0, 0, 1, 0, 0, 1});
  // A block larger than the tensor is all of it.
  CHECK(zeros(block_mask(weights, {3, 3}, {.outputs = 99, .inputs = 99}, 0.9f)) == 0);
}

TEST_CASE("a block counts as one when the share that goes is taken") {
  const Floats weights = random_weights(64 * 288);
  const Floats mask = block_mask(weights, {64, 3, 3, 32}, {.outputs = 1, .inputs = 4}, 0.75f);
  CHECK(zeros(mask) == 4 * (4608 - kept_count(4608, 0.75f)));
  for (std::size_t i = 0; i < mask.size(); i += 4)
    CHECK((mask[i] == mask[i + 1] && mask[i] == mask[i + 2] && mask[i] == mask[i + 3]));
}

TEST_CASE("blocks and patterns that make no sense are refused") {
  CHECK_ERROR(validate(Block{.outputs = 0}), "a block of 0 x 1");
  CHECK_ERROR(validate(Block{.outputs = 1, .inputs = -2}), "a block of 1 x -2");
  CHECK_ERROR(validate(FineGrained{.zeros = 4, .group = 4}), "a group of 4 with 4 zeros");
  CHECK_ERROR(validate(FineGrained{.zeros = 0, .group = 4}), "a group of 4 with 0 zeros");
  CHECK_ERROR(validate(FineGrained{.zeros = -1, .group = 4}), "a group of 4 with -1 zeros");
  CHECK_ERROR(block_scores(Floats{1, 2}, {2}, {.inputs = 2}), "rank 2 or more and elements, given [2]");
}

TEST_CASE("2:4 keeps the two largest of four input channels") {
  const Floats weights = {1, -4, 3, 2, 0.5f, 0.4f, -0.3f, 0.6f};
  CHECK(fine(weights, {2, 4}, {2, 4}) == Floats{0, 1, 1, 0, 1, 0, 0, 1});
  CHECK(fine(weights, {1, 8}, {2, 4}) == Floats{0, 1, 1, 0, 1, 0, 0, 1});
  CHECK(fine(weights, {2, 4}, {3, 4}) == Floats{0, 1, 0, 0, 0, 0, 0, 1});
  CHECK(fine(weights, {2, 4}, {1, 2}) == Floats{0, 1, 1, 0, 1, 0, 0, 1});
}

TEST_CASE("of equal magnitudes the first stays") {
  CHECK(fine({1, 1, 1, 1}, {1, 4}, {2, 4}) == Floats{1, 1, 0, 0});
  CHECK(fine({1, -2, 2, 2}, {1, 4}, {2, 4}) == Floats{0, 1, 1, 0});
}

TEST_CASE("groups do not reach over rows; short ones count as padded with zeros") {
  // [2,1,1,5]: groups of 4 and 1.
  CHECK(fine({1, 2, 3, 4, 5, 9, 8, 7, 6, 5}, {2, 1, 1, 5}, {2, 4}) == Floats{0, 0, 1, 1, 1, 1, 1, 0, 0, 1});
  // Three are left: one of them goes.
  CHECK(fine({3, 1, 2}, {1, 3}, {2, 4}) == Floats{1, 0, 1});
  // One input channel, as in the first layer for grey images: nothing to choose from.
  CHECK(zeros(fine(random_weights(288), {32, 3, 3, 1}, {2, 4})) == 0);
}

TEST_CASE("the checker accepts what the rule makes and nothing denser") {
  for (const auto& pattern : {FineGrained{2, 4}, FineGrained{1, 4}, FineGrained{3, 8}, FineGrained{6, 7}}) {
    const Shape shape{6, 3, 3, 10};
    Floats weights = random_weights(shape.size());
    CHECK_FALSE(is_fine_grained(weights, shape, pattern));
    const Floats mask = fine(weights, shape, pattern);
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= mask[i];
    CHECK(is_fine_grained(weights, shape, pattern));
    const auto zero = static_cast<std::size_t>(std::ranges::find(mask, 0.0f) - mask.begin());
    weights[zero] = 0.001f;
    CHECK_FALSE(is_fine_grained(weights, shape, pattern));
  }
}
