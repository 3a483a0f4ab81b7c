#pragma once

#include <lathe/optim/metrics.h>

#include <atomic>
#include <cstdint>
#include <optional>

namespace lathe::optim {

/// What the Metrics of an epoch are made of.
struct Sums {
  double loss = 0;  ///< of all samples
  std::int64_t correct = 0;
  std::int64_t samples = 0;

  void add(double mean_loss, std::int64_t right, std::int64_t count) {
    loss += mean_loss * static_cast<double>(count);
    correct += right;
    samples += count;
  }

  Metrics metrics() const {
    if (samples == 0) return {};
    const auto n = static_cast<double>(samples);
    return {loss / n, static_cast<double>(correct) / n, samples};
  }
};

/// The default loss.
Loss cross_entropy_loss(float label_smoothing);

/// As evaluate(), but gives up with no result when `interrupt` becomes true.
std::optional<Metrics> evaluate_unless(layers::Module& model, const datasets::DataLoader& loader,
                                       const Loss& loss, const std::atomic<bool>* interrupt);

}  // namespace lathe::optim
