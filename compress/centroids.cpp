#include <lathe/compress/centroids.h>

#include <lathe/base/error.h>
#include <lathe/base/random.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

namespace lathe::compress {
namespace {

using Values = std::span<const float>;  ///< ascending throughout this file, unless called weights

double square(double x) { return x * x; }

std::vector<float> linear(Values values, int k) {
  std::vector<float> centroids;
  const double low = values.front(), high = values.back();
  for (int j = 0; j < k; ++j)
    centroids.push_back(static_cast<float>(k == 1 ? (low + high) / 2 : low + (high - low) * j / (k - 1)));
  return centroids;
}

std::vector<float> random(Values values, int k, Rng& rng) {
  std::vector<float> centroids(static_cast<std::size_t>(k));
  for (float& centroid : centroids) centroid = rng.uniform(values.front(), values.back());
  std::ranges::sort(centroids);
  return centroids;
}

/// Between the two values around position quantile * n - 1/2: value i stands for the share (i + 1/2) / n.
std::vector<float> density(Values values, int k) {
  std::vector<float> centroids;
  const double n = static_cast<double>(values.size());
  for (int j = 0; j < k; ++j) {
    const double position = std::clamp((j + 0.5) / k * n - 0.5, 0.0, n - 1);
    const auto below = static_cast<std::size_t>(position);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    centroids.push_back(static_cast<float>(
        std::lerp(double{values[below]}, double{values[above]}, position - static_cast<double>(below))));
  }
  return centroids;
}

/// k-means++ with several candidates a draw, of which the one that leaves the smallest error is taken.
std::vector<float> kmeans_seeds(Values values, int k, Rng& rng) {
  const std::size_t n = values.size();
  const int candidates = 2 + static_cast<int>(std::log(k));
  std::vector<float> seeds{values[rng.below(n)]};
  std::vector<double> distances(n), cumulative(n);
  for (std::size_t i = 0; i < n; ++i) distances[i] = square(double{values[i]} - double{seeds[0]});
  const auto error_with = [&](double seed) {
    double error = 0;
    for (std::size_t i = 0; i < n; ++i) error += std::min(distances[i], square(values[i] - seed));
    return error;
  };
  while (static_cast<int>(seeds.size()) < k) {
    std::partial_sum(distances.begin(), distances.end(), cumulative.begin());
    float best = seeds[0];
    double least = std::numeric_limits<double>::infinity();
    for (int c = 0; c < candidates; ++c) {
      const double draw = double{rng.uniform()} * cumulative.back();
      const auto at = std::ranges::upper_bound(cumulative, draw) - cumulative.begin();
      const float candidate = values[std::min(static_cast<std::size_t>(at), n - 1)];
      if (const double error = error_with(candidate); error < least) least = error, best = candidate;
    }
    seeds.push_back(best);
    for (std::size_t i = 0; i < n; ++i)
      distances[i] = std::min(distances[i], square(double{values[i]} - double{best}));
  }
  std::ranges::sort(seeds);
  return seeds;
}

/// Lloyd's iterations. With values in order a cluster is an interval, and its mean comes from sums over
/// prefixes: an iteration costs K binary searches.
std::vector<float> lloyd(Values values, std::vector<float> centroids) {
  constexpr int kMost = 1000;  // it ends long before: each round lowers the error
  std::vector<double> sums(values.size() + 1, 0.0);
  std::partial_sum(values.begin(), values.end(), sums.begin() + 1,
                   [](double sum, double value) { return sum + value; });
  const std::size_t k = centroids.size();
  std::vector<std::size_t> bounds(k + 1, 0), before;
  for (int round = 0; round < kMost && bounds != before; ++round) {
    before = bounds;
    bounds[k] = values.size();
    for (std::size_t j = 1; j < k; ++j) {
      const double middle = (double{centroids[j - 1]} + double{centroids[j]}) / 2;
      bounds[j] = static_cast<std::size_t>(std::ranges::upper_bound(values, middle) - values.begin());
    }
    for (std::size_t j = 0; j < k; ++j)
      if (bounds[j + 1] > bounds[j])
        centroids[j] = static_cast<float>((sums[bounds[j + 1]] - sums[bounds[j]]) /
                                          static_cast<double>(bounds[j + 1] - bounds[j]));
  }
  return centroids;
}

/// K centroids of one side (or of all weights).
std::vector<float> place(Values values, int k, CentroidInit init, Rng& rng) {
  if (k == 0) return {};
  if (values.empty()) return std::vector<float>(static_cast<std::size_t>(k), 0.0f);
  if (init == CentroidInit::kmeans) {
    std::vector<float> different(values.begin(), values.end());
    different.erase(std::unique(different.begin(), different.end()), different.end());
    if (different.size() <= static_cast<std::size_t>(k)) {
      different.resize(static_cast<std::size_t>(k), different.back());
      return different;
    }
    return lloyd(values, kmeans_seeds(values, k, rng));
  }
  switch (init) {
    case CentroidInit::linear:
      return linear(values, k);
    case CentroidInit::random:
      return random(values, k, rng);
    default:
      return density(values, k);
  }
}

}  // namespace

std::vector<float> initial_centroids(std::span<const float> weights, const CentroidOptions& options) {
  check(!weights.empty(), "cluster: there are no weights");
  check(options.clusters >= 1, "cluster: {} clusters, expected at least 1", options.clusters);
  check(std::ranges::all_of(weights, [](float w) { return std::isfinite(w); }),
        "cluster: a weight is not finite");
  std::vector<float> sorted(weights.begin(), weights.end());
  std::ranges::sort(sorted);
  Rng rng(options.seed);
  if (!options.zero_first) return place(sorted, options.clusters, options.init, rng);

  const Values values = sorted;
  const auto negative = static_cast<std::size_t>(std::ranges::lower_bound(values, 0.0f) - values.begin());
  const auto positive = static_cast<std::size_t>(values.end() - std::ranges::upper_bound(values, 0.0f));
  const std::size_t nonzero = negative + positive;
  const int rest = options.clusters - 1;
  const int below =
      nonzero == 0
          ? 0
          : static_cast<int>(std::nearbyint(static_cast<double>(rest) * static_cast<double>(negative) /
                                            static_cast<double>(nonzero)));
  std::vector<float> centroids{0.0f};
  for (float c : place(values.first(negative), below, options.init, rng)) centroids.push_back(c);
  for (float c : place(values.last(positive), rest - below, options.init, rng)) centroids.push_back(c);
  return centroids;
}

void assign_nearest(std::span<const float> weights, std::span<const float> centroids,
                    std::span<std::int32_t> assignment) {
  assert(weights.size() == assignment.size() && !centroids.empty());
  for (std::size_t i = 0; i < weights.size(); ++i) {
    std::int32_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < centroids.size(); ++j) {
      const double distance = std::abs(double{weights[i]} - double{centroids[j]});
      if (distance < least) least = distance, best = static_cast<std::int32_t>(j);
    }
    assignment[i] = best;
  }
}

double quantization_error(std::span<const float> weights, std::span<const float> centroids) {
  std::vector<std::int32_t> assignment(weights.size());
  assign_nearest(weights, centroids, assignment);
  double error = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    error += square(double{weights[i]} - double{centroids[static_cast<std::size_t>(assignment[i])]});
  return error;
}

int reseed_empty(std::span<const float> weights, std::span<float> centroids,
                 std::span<std::int32_t> assignment, bool zero_first) {
  const std::size_t k = centroids.size(), first = zero_first ? 1 : 0;
  struct Cluster {
    std::int64_t count = 0;
    double sum = 0, error = 0;
  };
  struct Half {
    std::int64_t count = 0;
    double sum = 0;
    float mean() const { return static_cast<float>(sum / static_cast<double>(count)); }
  };
  int moved = 0;
  for (std::size_t tries = 0; tries < k; ++tries) {
    std::vector<Cluster> clusters(k);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      Cluster& cluster = clusters[static_cast<std::size_t>(assignment[i])];
      ++cluster.count;
      cluster.sum += weights[i];
    }
    // Around the mean and not the centroid: what is to be gained by a cut.
    for (std::size_t i = 0; i < weights.size(); ++i) {
      Cluster& cluster = clusters[static_cast<std::size_t>(assignment[i])];
      cluster.error += square(weights[i] - cluster.sum / static_cast<double>(cluster.count));
    }
    const auto empty = std::ranges::find(clusters.begin() + static_cast<std::ptrdiff_t>(first),
                                         clusters.end(), 0, &Cluster::count);
    const auto widest = std::ranges::max_element(clusters.begin() + static_cast<std::ptrdiff_t>(first),
                                                 clusters.end(), {}, &Cluster::error);
    if (empty == clusters.end() || !(widest->error > 0)) break;
    const auto from = static_cast<std::int32_t>(widest - clusters.begin());
    const double mean = widest->sum / static_cast<double>(widest->count);
    Half lower, upper;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (assignment[i] != from) continue;
      Half& half = weights[i] <= mean ? lower : upper;
      ++half.count;
      half.sum += weights[i];
    }
    if (lower.count == 0 || upper.count == 0) break;  // all equal but for rounding
    centroids[static_cast<std::size_t>(from)] = lower.mean();
    centroids[static_cast<std::size_t>(empty - clusters.begin())] = upper.mean();
    assign_nearest(weights, centroids, assignment);
    ++moved;
  }
  return moved;
}

}  // namespace lathe::compress
