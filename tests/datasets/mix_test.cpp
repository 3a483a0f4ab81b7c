#include <doctest/doctest.h>

#include <lathe/datasets/mix.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "support/errors.h"

using namespace lathe;
using namespace lathe::datasets;

namespace {

/// 16 images of 6x8x2 whose every number is 1 + their label.
class Plain : public Dataset {
 public:
  std::int64_t size() const override { return 16; }
  Shape image_shape() const override { return {6, 8, 2}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index); }
  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    std::ranges::fill(out, static_cast<float>(index + 1));
  }

 private:
  std::vector<std::string> classes_ = std::vector<std::string>(16, "c");
};

std::vector<Batch> batches(const Mixing& mix, std::uint64_t seed = 1, int workers = 0) {
  const DataLoader loader(std::make_shared<Plain>(),
                          {.batch = 8, .seed = seed, .workers = workers, .mix = mix});
  std::vector<Batch> result;
  for (std::int64_t epoch = 0; epoch < 40; ++epoch)
    for (auto reading = loader.epoch(epoch); auto batch = reading.next();)
      result.push_back(std::move(*batch));
  return result;
}

/// The numbers of an image.
std::span<const float> image(const Batch& batch, std::size_t i) {
  return batch.images.span<float>().subspan(i * 96, 96);
}

bool same(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::ranges::equal(a, b, [](const Batch& x, const Batch& y) {
    return x.share == y.share && std::ranges::equal(x.images.span<float>(), y.images.span<float>()) &&
           std::ranges::equal(x.other_labels.span<std::int32_t>(), y.other_labels.span<std::int32_t>());
  });
}

}  // namespace

TEST_CASE("mixup: images are sums of two, by the share of their labels") {
  std::set<float> shares;
  for (const Batch& batch : batches(mixup(0.4f))) {
    shares.insert(batch.share);
    CHECK(batch.share >= 0);
    CHECK(batch.share <= 1);
    const auto labels = batch.labels.span<std::int32_t>(), others = batch.other_labels.span<std::int32_t>();
    CHECK(std::ranges::is_permutation(labels, others));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const float expected = batch.share * static_cast<float>(labels[i] + 1) +
                             (1 - batch.share) * static_cast<float>(others[i] + 1);
      for (const float value : image(batch, i)) REQUIRE(value == doctest::Approx(expected).epsilon(1e-6));
    }
  }
  CHECK(shares.size() > 70);
}

TEST_CASE("cutmix: a rectangle is of another image, and its area is the share of the other label") {
  std::set<std::int64_t> areas;
  for (const Batch& batch : batches(cutmix())) {
    const auto labels = batch.labels.span<std::int32_t>(), others = batch.other_labels.span<std::int32_t>();
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const auto pixels = image(batch, i);
      std::int64_t left = 8, right = -1, top = 6, bottom = -1, count = 0;
      for (std::int64_t y = 0; y < 6; ++y)
        for (std::int64_t x = 0; x < 8; ++x) {
          const auto at = static_cast<std::size_t>((y * 8 + x) * 2);
          REQUIRE(pixels[at] == pixels[at + 1]);
          if (pixels[at] == static_cast<float>(labels[i] + 1)) continue;
          REQUIRE(pixels[at] == static_cast<float>(others[i] + 1));
          ++count, left = std::min(left, x), right = std::max(right, x);
          top = std::min(top, y), bottom = std::max(bottom, y);
        }
      if (labels[i] == others[i]) continue;  // mixed with itself
      CHECK(count == (count == 0 ? 0 : (right - left + 1) * (bottom - top + 1)));
      CHECK(1 - batch.share == doctest::Approx(static_cast<double>(count) / 48).epsilon(1e-5));
      areas.insert(count);
    }
  }
  CHECK(areas.size() > 8);
}

TEST_CASE("mixing depends on the seed, the epoch and the batch only") {
  for (const Mixing& mix : {mixup(), cutmix(), one_of({mixup(), cutmix()})}) {
    const auto once = batches(mix);
    CHECK(same(once, batches(mix, 1, 2)));
    CHECK_FALSE(same(once, batches(mix, 2)));
    CHECK(once[0].share != once[1].share);
  }
}

TEST_CASE("the share of mixup is drawn from Beta(alpha, alpha)") {
  // Variance 1 / (4 (2 alpha + 1)).
  for (const float alpha : {0.01f, 0.2f, 1.0f, 4.0f}) {
    CAPTURE(alpha);
    double sum = 0, squares = 0;
    constexpr int kDraws = 3000;
    Batch batch{Tensor::zeros({1, 1, 1, 1}), Tensor::zeros({1}, Dtype::i32)};
    for (int i = 0; i < kDraws; ++i) {
      mixup(alpha)(batch, Rng(static_cast<std::uint64_t>(i)));
      const auto centred = static_cast<double>(batch.share) - 0.5;
      sum += centred, squares += centred * centred;
    }
    CHECK(std::abs(sum / kDraws) < 0.035);
    CHECK(squares / kDraws == doctest::Approx(1 / (4 * (2 * static_cast<double>(alpha) + 1))).epsilon(0.08));
  }
}

TEST_CASE("one_of may leave batches as they are; what cannot be drawn is refused") {
  std::size_t mixed = 0;
  const auto all = batches(one_of({mixup(), Mixing{}}));
  for (const Batch& batch : all) mixed += static_cast<bool>(batch.other_labels);
  CHECK(mixed > all.size() / 4);
  CHECK(mixed < all.size() * 3 / 4);
  CHECK_ERROR(mixup(0), "mixup: alpha is 0, expected 0 < alpha <= 4");
  CHECK_ERROR(cutmix(std::nanf("")), "cutmix: alpha is nan");
  CHECK_ERROR(one_of({}), "nothing to choose from");
  Batch flat{Tensor::zeros({2, 48}), Tensor::zeros({2}, Dtype::i32)};
  CHECK_ERROR((cutmix()(flat, Rng(1)), 0), "cutmix: images [2,48], expected [N,H,W,C]");
  for (const int workers : {0, 2})
    CHECK_ERROR(batches([](Batch&, Rng) { fail("no such mixture"); }, 1, workers),
                "data loader: epoch 0, batch 0: no such mixture");
}
