#include <lathe/compress/distill.h>

#include <lathe/base/error.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace lathe::compress {
namespace {

/// Logits by sample number.
class LogitCache {
 public:
  /// Asks the teacher for the whole batch when one of its samples is not known.
  Tensor get(const Teacher& teacher, const datasets::Batch& batch) {
    check(static_cast<std::int64_t>(batch.indices.size()) == batch.size(),
          "distillation: the batch has {} sample numbers for {} samples: the cache needs the batches of a "
          "DataLoader",
          batch.indices.size(), batch.size());
    check(!batch.other_labels, "distillation: the images of the batch are mixed, so no cache can know them");
    if (!std::ranges::all_of(batch.indices, [&](std::int64_t sample) { return knows(sample); })) {
      Tensor logits = teacher(batch.images);
      store(batch, logits);
      return logits;
    }
    Tensor logits = Tensor::empty({batch.size(), static_cast<std::int64_t>(classes_)});
    auto out = logits.mutable_span<float>().begin();
    for (std::int64_t sample : batch.indices)
      out = std::ranges::copy(rows_[static_cast<std::size_t>(sample)], out).out;
    return logits;
  }

 private:
  bool knows(std::int64_t sample) const {
    return static_cast<std::size_t>(sample) < rows_.size() &&
           !rows_[static_cast<std::size_t>(sample)].empty();
  }

  void store(const datasets::Batch& batch, const Tensor& logits) {
    check(logits.shape().rank() == 2 && logits.shape()[0] == batch.size() && logits.shape()[1] >= 1,
          "distillation: the teacher gave {} for {} images", to_string(logits.shape()), batch.size());
    classes_ = static_cast<std::size_t>(logits.shape()[1]);
    const std::span<const float> all = logits.span<float>();
    for (std::size_t i = 0; i < batch.indices.size(); ++i) {
      const auto sample = static_cast<std::size_t>(batch.indices[i]);
      if (sample >= rows_.size()) rows_.resize(sample + 1);
      const auto row = all.subspan(i * classes_, classes_);
      rows_[sample].assign(row.begin(), row.end());
    }
  }

  std::size_t classes_ = 0;
  std::vector<std::vector<float>> rows_;
};

}  // namespace

Teacher teacher(layers::Module& module) {
  return [&module](const Tensor& images) {
    const NoGrad no_grad;
    const layers::EvalMode mode(module);
    return module(images);
  };
}

optim::Loss distillation(Teacher teacher, const DistillOptions& options) {
  check(static_cast<bool>(teacher), "distillation: there is no teacher");
  check(options.temperature > 0 && std::isfinite(options.temperature),
        "distillation: temperature is {}, expected a positive number", options.temperature);
  check(options.hard_weight >= 0 && options.hard_weight <= 1,
        "distillation: hard_weight is {}, expected 0 <= hard_weight <= 1", options.hard_weight);
  check(options.label_smoothing >= 0 && options.label_smoothing < 1,
        "distillation: label_smoothing is {}, expected 0 <= label_smoothing < 1", options.label_smoothing);
  const auto cache = options.cache ? std::make_shared<LogitCache>() : nullptr;
  return [teacher = std::move(teacher), options, cache](const Tensor& logits, const datasets::Batch& batch) {
    if (!grad_enabled()) return cross_entropy(logits, batch.labels);
    const Tensor target = cache ? cache->get(teacher, batch) : teacher(batch.images);
    check(target && target.shape() == logits.shape(), "distillation: the teacher gave {}, the student {}",
          target ? to_string(target.shape()) : "nothing", to_string(logits.shape()));
    const Tensor soft = kl_divergence(logits, target.detach(), options.temperature);
    if (options.hard_weight == 0) return soft;
    const Tensor hard = optim::label_loss(logits, batch, options.label_smoothing);
    return add(scale(hard, options.hard_weight), scale(soft, 1 - options.hard_weight));
  };
}

}  // namespace lathe::compress
