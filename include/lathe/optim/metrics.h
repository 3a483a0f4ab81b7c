#pragma once

#include <lathe/core/tensor.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/module.h>

#include <atomic>
#include <cstdint>
#include <functional>

namespace lathe::optim {

/// Means over the samples of an epoch or an evaluation.
struct Metrics {
  double loss = 0;
  double accuracy = 0;  ///< 0..1
  std::int64_t samples = 0;
};

/// logits, batch -> scalar loss, the mean over the batch.
using Loss = std::function<Tensor(const Tensor& logits, const datasets::Batch& batch)>;

/// cross_entropy() against the labels of a batch; where images are mixed (datasets/mix.h), against both
/// labels by their shares.
Tensor label_loss(const Tensor& logits, const datasets::Batch& batch, float label_smoothing = 0);

/// How many rows of logits [N,C] have their largest element (the first of equal ones) at their label, labels
/// [N] i32. Throws Error on other shapes.
std::int64_t count_correct(const Tensor& logits, const Tensor& labels);

/// Loss (label_loss if empty) and accuracy of a module in eval mode over all batches, without recording
/// for gradients. The mode of each module is the same afterwards.
Metrics evaluate(layers::Module& model, const datasets::DataLoader& loader, const Loss& loss = {});

}  // namespace lathe::optim
