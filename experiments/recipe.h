#pragma once

#include "kind.h"

#include <lathe/layers/module.h>
#include <lathe/optim/optimizer.h>
#include <lathe/optim/schedule.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::experiments {

/// How the learning rate goes through a training, and which weights are its result.
enum class RateSchedule {
  one_cycle,  ///< one cycle over all steps; the last weights
  plateau,  ///< constant, a tenth whenever the loss stands still; the weights of the best validation accuracy
};
/// Throws Error naming what there is.
RateSchedule parse_rate_schedule(std::string_view text);
std::string_view to_string(RateSchedule schedule);

/// How a bundled model is trained unless the user says otherwise; the figures in docs/results.md are made
/// with it.
struct Recipe {
  float peak_learning_rate = 1e-3f;
  RateSchedule rate_schedule = RateSchedule::one_cycle;
  int shift_pixels = 0;              ///< training images are moved at random by at most so much
  bool flip = false;                 ///< half of the training images are mirrored
  float least_area = 1;              ///< below 1: training images are parts of at least this share of theirs
  float head_learning_rate = 2e-3f;  ///< the peak when all but the head is frozen
  bool photos = false;               ///< large images: smaller batches, and a thread that reads ahead
  bool from_baseline = false;        ///< starts with the weights of the trained baseline of the same seed
  float pruned_by = 0.5f;            ///< share of the steps after which the sparsity is final
  float sparsity_from = 0;           ///< where the pruning schedule begins
  std::vector<std::string> dense = {};  ///< globs of layers that are not pruned
  float clusters_from = 0;           ///< share of the steps after which weights are clustered
  bool codebook_per_channel = false;
  float temperature = 2;     ///< of distillation
  float hard_weight = 0.5f;  ///< the share of the true labels in distillation
};

/// Throws Error when there is no such model.
Recipe recipe_for(std::string_view model, const Kind& kind = {});

/// Adam over the module's parameters that are not frozen.
std::unique_ptr<optim::Optimizer> make_optimizer(const layers::Module& module, const Recipe& recipe);

/// One cycle reaches in ten epochs what a constant rate does not in thirty, and ends at a rate so small that
/// the last weights are as good as the best ones: no test or validation image is needed to choose among
/// epochs.
optim::Schedule make_schedule(const Recipe& recipe, std::int64_t steps);

}  // namespace lathe::experiments
