#pragma once

#include <lathe/compress/mask.h>
#include <lathe/compress/select.h>
#include <lathe/compress/sparsity_schedule.h>
#include <lathe/layers/transform.h>
#include <lathe/optim/trainer.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// Magnitude pruning during training: small weights are held at zero, more and more of them, while the rest
/// learns to do without. Zhu & Gupta 2017, with the rules of the TensorFlow Model Optimization Toolkit;
/// deviations stand where they are.
///
///   auto pruning = compress::prune(model, {.schedule = PolynomialDecay{.final = 0.8f, .end = 2000}});
///   optim::Adam optimizer(model.parameters(), {});
///   optim::Trainer trainer(model, optimizer, {.epochs = 10});
///   trainer.add(std::move(pruning));
///   trainer.fit(loader);
///   compress::strip(model);
namespace lathe::compress {

/// Which weights of one tensor are kept. Its result is exactly +0 where the mask is 0, whatever is in the
/// weight. The gradient passes unmasked, so that a weight can come back when the mask is made anew.
class PruneMask : public layers::Transform {
 public:
  /// Everything is kept at first.
  explicit PruneMask(const Shape& shape);

  layers::Stage stage() const override { return layers::Stage::prune; }
  /// Throws Error in training (with gradients) when the mask was neither updated nor frozen: the callback is
  /// missing.
  Tensor apply(const Tensor& x) override;
  std::vector<std::pair<std::string, Tensor*>> buffers() override;

  /// 1 kept, 0 pruned, in the shape of the weight. Whoever changes it calls set_updated().
  Tensor& mask() { return mask_; }
  const Tensor& mask() const { return mask_; }
  /// The smallest score that is kept; 0 before the first mask and for fine-grained masks, which have none.
  float threshold() const;
  void set_threshold(float threshold);
  /// Share of zeros in the mask.
  double sparsity() const;

  /// The mask stays as it is, training needs no callback any more.
  void freeze() { frozen_ = true; }
  bool frozen() const { return frozen_; }
  void set_updated() { updated_ = true; }

 private:
  Tensor mask_, threshold_;
  bool updated_ = false;
  bool frozen_ = false;
};

struct PruneOptions {
  SparsitySchedule schedule = ConstantSparsity{};
  /// Block{1,1}: single weights. FineGrained masks are made once, at the first step, and follow no schedule.
  Structure structure = Block{};
  /// One threshold for all selected weights together instead of the same sparsity in each. Not for
  /// FineGrained.
  bool global = false;
  /// By default all Conv2d and Linear layers. Depthwise layers have to be named by type: they have few
  /// weights and need them.
  Selection layers = {};
};

/// A weight that is being pruned.
struct PrunedWeight {
  std::string name;  ///< "conv1.weight"
  layers::Parameter parameter;
  std::shared_ptr<PruneMask> mask;
};

/// Moves the masks along the schedule. At the start of each training step, in this order: the mask is made
/// anew if it is time, then the pruned weights are set to zero (the optimiser has moved them by one step
/// since). They are set to zero once more before each evaluation, at the end of each epoch and of the
/// training, so that whatever is saved is sparse.
///
/// Before the final sparsity is reached no epoch counts as the best one (TrainState::eligible).
///
/// Without a Trainer: call update(step) before the forward pass of each step and zero_masked() at the end.
class Pruning : public optim::Callback {
 public:
  Pruning(std::vector<PrunedWeight> weights, PruneOptions options);

  /// `step` is 0-based, as in TrainState.
  void update(std::int64_t step);
  void zero_masked();
  /// Is step (0-based) computed with masks of the final sparsity?
  bool final_sparsity_reached(std::int64_t step) const;
  const std::vector<PrunedWeight>& weights() const { return weights_; }
  const PruneOptions& options() const { return options_; }

  void epoch_begin(optim::TrainState& state) override;
  void step_begin(optim::TrainState& state) override;
  void eval_begin(optim::TrainState&) override { zero_masked(); }
  void epoch_end(optim::TrainState&) override { zero_masked(); }
  void fit_end(optim::TrainState&) override { zero_masked(); }

 private:
  void make_masks(float sparsity);
  void make_fine_grained_masks(const FineGrained& pattern);

  std::vector<PrunedWeight> weights_;
  PruneOptions options_;
};

/// Attaches masks to the selected weights. Call it before the optimiser is built, and let the result take
/// part in the training. Throws Error when an option is out of range, the selection is (select.h), or a
/// weight has a mask already.
[[nodiscard]] std::unique_ptr<Pruning> prune(layers::Module& model, const PruneOptions& options);

/// Attaches frozen masks that keep the zeros which the selected weights have now: how a model that was pruned
/// and stripped is taken up again. Nothing else is needed in training. Returns the weights without a zero,
/// which get no mask.
std::vector<LeftOut> from_zeros(layers::Module& model, const Selection& selection = {});

/// Freezes every mask of the model as it is: for going on to train a pruned model without the callback.
void freeze_masks(layers::Module& model);

/// The weights of the model that have a mask.
std::vector<PrunedWeight> pruned_weights(layers::Module& model);

/// A CSV line for each pruned weight at the end of each epoch: epoch, step, weight, elements, zeros,
/// sparsity, threshold (empty where there is none). Written whole and atomically; a resumed run keeps the
/// lines before.
class SparsityLog : public optim::Callback {
 public:
  explicit SparsityLog(std::filesystem::path path) : path_(std::move(path)) {}
  void epoch_end(optim::TrainState& state) override;
  std::string state_name() const override { return "sparsity_log"; }
  std::string state() const override { return lines_; }
  void restore(const std::string& state) override { lines_ = state; }

 private:
  std::filesystem::path path_;
  std::string lines_;
};

}  // namespace lathe::compress
