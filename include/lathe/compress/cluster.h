#pragma once

#include <lathe/compress/centroids.h>
#include <lathe/compress/select.h>
#include <lathe/layers/transform.h>
#include <lathe/optim/trainer.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

/// Weight clustering: each weight is replaced by the nearest of K shared values, which train along. Han et
/// al. 2016, "Deep compression", section 3, with the training step of the TensorFlow Model Optimization
/// Toolkit (weights and centroids are both moved by the optimiser, membership follows). Deviations: batch
/// norm keeps learning (the modules' training mode is not touched), empty clusters are re-seeded, and those
/// in centroids.h.
///
///   auto clustering = compress::cluster(model, {.clusters = 8});
///   optim::Adam optimizer(model.parameters(), {});     // after it: the centroids are parameters
///   trainer.add(std::move(clustering));
namespace lathe::compress {

/// What becomes of the gradients of a centroid's weights.
enum class Aggregation { sum, average };

/// The shared values of one weight. Zeros of earlier stages stay zeros with `zero_first`; equal weights stay
/// equal.
class Codebook : public layers::Transform {
 public:
  struct Options {
    CentroidOptions centroids = {};
    Aggregation aggregation = Aggregation::sum;
    bool starts_later = false;  ///< passes the weight through until start()
  };
  /// A codebook of `options.centroids` for the weight, or with `per_channel` one for each index of axis 0.
  Codebook(const Tensor& weight, bool per_channel, const Options& options);
  /// With these centroids, [K] or [C,K].
  Codebook(const Tensor& weight, Tensor centroids, const Options& options);

  layers::Stage stage() const override { return layers::Stage::cluster; }
  Tensor apply(const Tensor& x) override;
  std::vector<std::pair<std::string, layers::Parameter*>> parameters() override;
  std::vector<std::pair<std::string, Tensor*>> buffers() override;

  const Tensor& centroids() const { return centroids_.master(); }
  bool active() const;
  /// At the next apply() in training, whose input is what earlier stages leave: place the centroids and begin
  /// to cluster; re-seed the empty clusters.
  void start() { start_ = true; }
  void reseed() { reseed_ = true; }
  /// While on, apply() gives what it is given.
  void pass_through(bool on) { pass_through_ = on; }

 private:
  void initialise(const Tensor& x);
  void remember_zeros(const Tensor& x);
  void fill_empty(const Tensor& x);

  Options options_;
  layers::Parameter centroids_;  ///< [K] or [C,K]
  Tensor nonzero_;  ///< with zero_first: 1 where the weight was not zero when the centroids were placed
  Tensor active_;   ///< with starts_later: i32 [1], else empty
  bool start_ = false;
  bool reseed_ = false;
  bool pass_through_ = false;
};

struct ClusterOptions {
  int clusters = 16;  ///< K, 2 to 65536; at least 3 with preserve_sparsity
  /// Convolutions get one codebook for each output channel; linear layers have one in any case.
  bool per_channel = false;
  CentroidInit init = CentroidInit::kmeans;
  Aggregation aggregation = Aggregation::sum;
  /// Zeros stay zeros: one centroid is exactly 0 for good, and weights that are 0 at the start stay there.
  bool preserve_sparsity = false;
  std::uint64_t seed = 9;
  /// Steps of training before the centroids are placed; until then weights are free. 0: now.
  std::int64_t begin = 0;
  /// Steps between looking for empty clusters; 0: never.
  std::int64_t reseed_every = 100;
  /// By default all Conv2d and Linear layers; depthwise layers have to be named by type (they lose most).
  Selection layers = {};
};

/// A weight that is being clustered.
struct ClusteredWeight {
  std::string name;
  layers::Parameter parameter;
  std::shared_ptr<Codebook> codebook;
};

/// Starts clustering at its step and re-seeds empty clusters: see centroids.h. Without a Trainer: call
/// update(step) before the forward pass of each step.
class Clustering : public optim::Callback {
 public:
  Clustering(std::vector<ClusteredWeight> weights, std::vector<LeftOut> left_out, ClusterOptions options);

  /// `step` is 0-based, as in TrainState.
  void update(std::int64_t step);
  const std::vector<ClusteredWeight>& weights() const { return weights_; }
  /// Selected weights that have no more elements than clusters.
  const std::vector<LeftOut>& left_out() const { return left_out_; }

  void step_begin(optim::TrainState& state) override;
  void epoch_begin(optim::TrainState& state) override;

 private:
  std::vector<ClusteredWeight> weights_;
  std::vector<LeftOut> left_out_;
  ClusterOptions options_;
};

/// Attaches codebooks to the selected weights, placed on their values as they are now (after pruning, if that
/// is attached). Call it before the optimiser is built. Throws Error when an option is out of range, the
/// selection is (select.h), a weight is clustered already or not finite, or nothing is left to cluster.
[[nodiscard]] std::unique_ptr<Clustering> cluster(layers::Module& model, const ClusterOptions& options);

struct UniqueOptions {
  bool per_channel = false;
  Aggregation aggregation = Aggregation::sum;
  int most = 1024;  ///< a weight with more different values is not clustered
  Selection layers = {};
};

/// Attaches codebooks that hold the different values which the selected weights have now: how a model that
/// was clustered and stripped is taken up again. If 0 is among them it stays 0, and so do the weights at it.
/// Returns the weights that are not clustered, with the reason.
std::vector<LeftOut> from_unique(layers::Module& model, const UniqueOptions& options = {});

/// The weights of the model that have a codebook.
std::vector<ClusteredWeight> clustered_weights(layers::Module& model);

/// How many different values there are (0 and -0 are one).
std::int64_t count_unique(std::span<const float> values);

}  // namespace lathe::compress
