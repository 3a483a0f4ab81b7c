#pragma once

#include <lathe/core/tensor.h>
#include <lathe/layers/module.h>
#include <lathe/optim/trainer.h>

#include <cstdint>
#include <functional>

/// Knowledge distillation: a small network learns from the soft outputs of a trained one. Hinton et al. 2015,
/// "Distilling the knowledge in a neural network", section 2.
///
///   optim::Trainer trainer(student, optimizer, {.loss = compress::distillation(compress::teacher(*network),
///   {})});
namespace lathe::compress {

/// Logits [N,C] for images [N,H,W,C]: a module in evaluation, a deployed plan, an ensemble.
using Teacher = std::function<Tensor(const Tensor& images)>;

/// The module in evaluation mode and without gradients; its modes are the same after each call. It must
/// outlive the result.
Teacher teacher(layers::Module& module);

struct DistillOptions {
  /// T: divides the logits of both. Higher shows more of what the teacher thinks of wrong classes; 2 to 10
  /// are common.
  float temperature = 4;
  /// The share of the cross-entropy with the true labels, 0..1 (some texts give alpha to the other term).
  float hard_weight = 0.1f;
  float label_smoothing = 0;  ///< of the cross-entropy
  /// Keeps the teacher's logits of each sample of the training set, so that it runs once over each: for data
  /// that are the same in each epoch (no random transforms). C floats a sample.
  bool cache = false;
};

/// L = hard_weight * CE(labels, z) + (1 - hard_weight) * T^2 * KL(softmax(t / T) || softmax(z / T)), means
/// over the batch, z the student's logits and t the teacher's. T^2 keeps the size of the soft gradient
/// independent of T. Where no gradients are recorded (in evaluations) it is the plain cross-entropy, so that
/// validation losses compare with those of other runs, and the teacher is not asked. Throws Error when an
/// option is out of range; in use, when the teacher's logits do not have the student's shape, or a batch has
/// no sample numbers and there is a cache.
optim::Loss distillation(Teacher teacher, const DistillOptions& options);

}  // namespace lathe::compress
