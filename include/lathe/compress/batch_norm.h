#pragma once

#include <lathe/datasets/loader.h>
#include <lathe/layers/module.h>
#include <lathe/optim/trainer.h>

#include <cstdint>

/// Re-estimation of batch norm statistics. The moving averages of a network lag behind its weights; whatever
/// changed these abruptly (a new mask, a codebook, quantized weights, a restored checkpoint) leaves them
/// wrong, and the accuracy measured in evaluation with them. Measuring them again on training images costs a
/// few forward passes and no gradient. Wu & Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3
/// ("PreciseBN").
namespace lathe::compress {

struct ReEstimateOptions {
  std::int64_t batches = 100;  ///< at most so many of the loader's first epoch; >= 1
};

/// Replaces the moving mean and variance of every BatchNorm2d by the plain mean over batches of the batch's
/// mean and (biased) variance, all other layers in evaluation mode: dropout drops nothing, masks, codebooks
/// and ranges stay. Parameters and modes are the same afterwards. Returns the number of layers; without any
/// nothing is run. Throws Error when options are out of range.
std::int64_t re_estimate_batch_norm(layers::Module& model, const datasets::DataLoader& loader,
                                    const ReEstimateOptions& options = {});

/// Re-estimates before each evaluation and at the end of the training. Ends of callbacks run in the reverse
/// order of adding: add it before a BestCheckpoint, so that the weights which that one puts back are
/// re-estimated too. Those it saves have the statistics they were evaluated with.
class BatchNormReEstimation : public optim::Callback {
 public:
  /// The loader must live as long as the callback.
  explicit BatchNormReEstimation(const datasets::DataLoader& loader, const ReEstimateOptions& options = {});
  void eval_begin(optim::TrainState& state) override;
  void fit_end(optim::TrainState& state) override;

 private:
  const datasets::DataLoader& loader_;
  ReEstimateOptions options_;
};

}  // namespace lathe::compress
