#include <lathe/base/random.h>
#include <lathe/compress/centroids.h>
#include "support/errors.h"

#include <algorithm>
#include <cmath>
#include <set>

using namespace lathe;
using namespace lathe::compress;

namespace {

using Floats = std::vector<float>;

/// About what trained weights look like: a sharp peak at 0 with tails.
Floats peaked(std::int64_t n, std::uint64_t seed = 1) {
  Rng rng(seed);
  Floats weights;
  for (std::int64_t i = 0; i < n; ++i) weights.push_back(0.1f * rng.normal() * std::abs(rng.normal()));
  return weights;
}

double error(const Floats& weights, const CentroidOptions& options) {
  return quantization_error(weights, initial_centroids(weights, options));
}

}  // namespace

TEST_CASE("linear centroids are evenly spaced from the smallest to the largest weight") {
  CHECK(initial_centroids(Floats{3, -1, 0, 1}, {.clusters = 5, .init = CentroidInit::linear}) ==
        Floats{-1, 0, 1, 2, 3});
  CHECK(initial_centroids(Floats{3, -1}, {.clusters = 1, .init = CentroidInit::linear}) == Floats{1});
}

TEST_CASE("random centroids lie between the smallest and the largest weight and follow the seed") {
  const Floats weights = peaked(500);
  const CentroidOptions options{.clusters = 30, .init = CentroidInit::random, .seed = 4};
  const Floats centroids = initial_centroids(weights, options);
  CHECK(std::ranges::is_sorted(centroids));
  CHECK(std::set<float>(centroids.begin(), centroids.end()).size() == 30);
  CHECK(centroids.front() >= std::ranges::min(weights));
  CHECK(centroids.back() <= std::ranges::max(weights));
  CHECK(initial_centroids(weights, options) == centroids);
  CHECK(initial_centroids(weights, {.clusters = 30, .init = CentroidInit::random, .seed = 5}) != centroids);
}

TEST_CASE("density centroids are the middle quantiles") {
  Floats weights;
  for (int i = 0; i < 100; ++i) weights.push_back(static_cast<float>(i));
  // Value i stands for the share (i + 0.5) / 100: the quantile 1/8 lies at 12.
  const Floats centroids = initial_centroids(weights, {.clusters = 4, .init = CentroidInit::density});
  CHECK(centroids == Floats{12, 37, 62, 87});
  // As many weights to each.
  const Floats uneven = peaked(1000);
  const Floats quantiles = initial_centroids(uneven, {.clusters = 10, .init = CentroidInit::density});
  for (std::size_t j = 0; j < 10; ++j) {
    const auto below = std::ranges::count_if(uneven, [&](float w) { return w < quantiles[j]; });
    CHECK(std::abs(static_cast<double>(below) - (100.0 * static_cast<double>(j) + 50)) <= 1);
  }
}

TEST_CASE("k-means finds separate groups") {
  Rng rng(2);
  Floats weights;
  for (int i = 0; i < 400; ++i)
    weights.push_back(static_cast<float>(rng.below(4)) * 10 + rng.uniform(-0.5f, 0.5f));
  const Floats centroids = initial_centroids(weights, {.clusters = 4});
  for (std::size_t j = 0; j < 4; ++j)
    CHECK(centroids[j] == doctest::Approx(10.0 * static_cast<double>(j)).epsilon(0.02));
}

TEST_CASE("after k-means every centroid is the mean of its members") {
  const Floats weights = peaked(3000);
  const Floats centroids = initial_centroids(weights, {.clusters = 16});
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  for (std::size_t j = 0; j < centroids.size(); ++j) {
    double sum = 0;
    int count = 0;
    for (std::size_t i = 0; i < weights.size(); ++i)
      if (assignment[i] == static_cast<std::int32_t>(j)) sum += static_cast<double>(weights[i]), ++count;
    REQUIRE(count > 0);
    CHECK(static_cast<double>(centroids[j]) == doctest::Approx(sum / count).epsilon(1e-5));
  }
}

TEST_CASE("k-means has the smallest error of all, for any number of clusters") {
  const Floats weights = peaked(5000);
  for (int clusters : {2, 4, 8, 16, 32}) {
    CAPTURE(clusters);
    const double kmeans = error(weights, {.clusters = clusters});
    for (auto init : {CentroidInit::linear, CentroidInit::random, CentroidInit::density})
      CHECK(kmeans < error(weights, {.clusters = clusters, .init = init}));
  }
}

TEST_CASE("as many different values as centroids are kept exactly") {
  const Floats weights = {1, 1, 5, 5, 5, -2};
  CHECK(initial_centroids(weights, {.clusters = 3}) == Floats{-2, 1, 5});
  CHECK(initial_centroids(weights, {.clusters = 5}) == Floats{-2, 1, 5, 5, 5});
  CHECK(initial_centroids(Floats{7, 7}, {.clusters = 2}) == Floats{7, 7});
}

TEST_CASE("zero comes first and the others are shared out by the numbers of negative and positive weights") {
  Floats weights;
  for (int i = 1; i <= 30; ++i) weights.push_back(static_cast<float>(-i));
  for (int i = 1; i <= 10; ++i) weights.push_back(static_cast<float>(i));
  weights.insert(weights.end(), 200, 0.0f);  // zeros do not count
  for (auto init :
       {CentroidInit::linear, CentroidInit::random, CentroidInit::density, CentroidInit::kmeans}) {
    const Floats centroids = initial_centroids(weights, {.clusters = 9, .init = init, .zero_first = true});
    REQUIRE(centroids.size() == 9);
    CHECK(centroids[0] == 0);
    CHECK(std::ranges::count_if(centroids, [](float c) { return c < 0; }) == 6);  // round(8 * 30 / 40)
    CHECK(std::ranges::count_if(centroids, [](float c) { return c > 0; }) == 2);
  }
  // Halves to even: 8 * 7 / 16 = 3.5 -> 4.
  Floats half(7, -1.0f);
  half.insert(half.end(), 9, 1.0f);
  const Floats centroids = initial_centroids(half, {.clusters = 9, .zero_first = true});
  CHECK(std::ranges::count_if(centroids, [](float c) { return c < 0; }) == 4);
}

TEST_CASE("a weight of zeros alone has the centroid zero") {
  const Floats zeros(20, 0.0f);
  CHECK(initial_centroids(zeros, {.clusters = 4, .zero_first = true}) == Floats{0, 0, 0, 0});
  CHECK(initial_centroids(zeros, {.clusters = 4}) == Floats{0, 0, 0, 0});
}

TEST_CASE("an empty cluster gets half of the one with the largest error") {
  const Floats weights = {0, 1, 14, 20, 30, 36};
  Floats centroids = {0.5f, 25, 1000};
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  CHECK(reseed_empty(weights, centroids, assignment, false) == 1);
  CHECK(centroids == Floats{0.5f, 17, 33});
  CHECK(assignment == std::vector<std::int32_t>{0, 0, 1, 1, 2, 2});
  CHECK(reseed_empty(weights, centroids, assignment, false) == 0);
}

TEST_CASE("several empty clusters are filled one after the other") {
  const Floats weights = {-9, -8, 8, 9, 100, 101};
  Floats centroids = {0, 500, 600, 700};
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  CHECK(reseed_empty(weights, centroids, assignment, false) == 3);
  Floats sorted = centroids;
  std::ranges::sort(sorted);
  CHECK(sorted == Floats{-9, -8, 8.5f, 100.5f});
  CHECK(std::set<std::int32_t>(assignment.begin(), assignment.end()).size() == 4);
}

TEST_CASE("a pinned zero stays where it is, members or not") {
  const Floats weights = {5, 6, 7, 8};
  Floats centroids = {0, 6.5f, 99};
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  CHECK(reseed_empty(weights, centroids, assignment, true) == 1);
  CHECK(centroids == Floats{0, 5.5f, 7.5f});
}

TEST_CASE("where nothing can be cut, empty clusters stay") {
  const Floats weights = {3, 3, 3};
  Floats centroids = {3, 50};
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  CHECK(reseed_empty(weights, centroids, assignment, false) == 0);
  CHECK(centroids == Floats{3, 50});
}

TEST_CASE("weights that cannot be clustered are refused") {
  CHECK_ERROR(initial_centroids({}, {}), "there are no weights");
  CHECK_ERROR(initial_centroids(Floats{1, 2}, {.clusters = 0}), "0 clusters, expected at least 1");
  CHECK_ERROR(initial_centroids(Floats{1, NAN}, {}), "a weight is not finite");
  CHECK_ERROR(initial_centroids(Floats{1, -INFINITY}, {}), "a weight is not finite");
}
