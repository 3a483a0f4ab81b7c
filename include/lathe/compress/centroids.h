#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// Where the cluster centroids of a weight start, and what becomes of empty ones. Pure functions on numbers;
/// cluster.h attaches them to a model.
namespace lathe::compress {

enum class CentroidInit {
  linear,   ///< evenly spaced from the smallest to the largest weight, both included
  random,   ///< uniform between the smallest and the largest weight
  density,  ///< the quantiles (j + 1/2) / K: as many weights to each centroid
  kmeans,   ///< k-means++ seeds (Arthur & Vassilvitskii 2007), then Lloyd's iterations until nothing moves
};

struct CentroidOptions {
  int clusters = 16;  ///< K
  CentroidInit init = CentroidInit::kmeans;
  /// Centroid 0 is exactly zero, the others are shared out between the negative and the positive weights by
  /// their numbers: round((K - 1) * negative / nonzero) to the negative ones, and each side is initialised by
  /// itself.
  bool zero_first = false;
  std::uint64_t seed = 9;  ///< of random and k-means++
};

/// K centroids, ascending (after the zero). A weight with fewer different values than centroids gets each
/// value once; the rest repeat the last one. Throws Error when there are no weights, or one is not finite, or
/// K < 1.
///
/// Deviations from the TensorFlow Model Optimization Toolkit: Lloyd's iterations follow the seeds; density
/// interpolates the inverse distribution instead of snapping to a grid of 30 points; the zero stands first,
/// so that its place is known.
std::vector<float> initial_centroids(std::span<const float> weights, const CentroidOptions& options);

/// Gives each centroid that no weight is nearest to one half of the cluster with the largest sum of squared
/// distances: that cluster is cut at its mean, the mean of its lower half stays in its place, that of its
/// upper half goes to the empty one. With `zero_first` centroid 0 takes no part. `assignment` holds the index
/// of the centroid of each weight and is updated. Returns the number of centroids that were moved to where
/// there is something to do.
int reseed_empty(std::span<const float> weights, std::span<float> centroids,
                 std::span<std::int32_t> assignment, bool zero_first);

/// Nearest centroid of each weight, the lowest index of equally near ones: the definition, K distances a
/// weight.
void assign_nearest(std::span<const float> weights, std::span<const float> centroids,
                    std::span<std::int32_t> assignment);

/// Sum of the squared distances of all weights to their nearest centroid.
double quantization_error(std::span<const float> weights, std::span<const float> centroids);

}  // namespace lathe::compress
