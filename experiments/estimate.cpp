#include "estimate.h"

#include "kind.h"
#include "recipe.h"

#include <lathe/core/ops.h>
#include <lathe/layers/models.h>

#include <chrono>
#include <limits>

namespace lathe::experiments {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_per_step(const CellConfig& config) {
  const layers::ModelInfo& info = layers::find_model(config.base);
  const auto model = info.make();
  model->reset(Rng(0));
  model->train();
  const auto optimizer = make_optimizer(*model, recipe_for(config.base));
  const Tensor images = Tensor::full(info.input.with(0, config.batch), 0.5f);
  const Tensor labels = Tensor::zeros({config.batch}, Dtype::i32);
  double best = std::numeric_limits<double>::infinity();
  const auto begin = Clock::now();
  // The first step prepares kernels and memory.
  for (int step = 0; step < 20 && (step < 3 || Clock::now() - begin < std::chrono::milliseconds(300));
       ++step) {
    const auto start = Clock::now();
    optimizer->clear_grads();
    const PrecisionScope scope(config.precision);
    cross_entropy((*model)(images), labels).backward();
    optimizer->step();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

/// How much longer a step takes with the passes (build/bench/passes-bench).
double factor(const Kind& kind) {
  return (kind.clusters > 0 ? 1.03 : 1) * (kind.quantization_aware ? 1.2 : 1) * (kind.distil ? 1.33 : 1);
}

}  // namespace

double TrainingEstimate::seconds(const CellConfig& config, std::int64_t images) {
  const auto [found, added] = per_step_.try_emplace({config.base, config.batch, config.precision});
  if (added) found->second = seconds_per_step(config);
  const auto steps = static_cast<double>((images + config.batch - 1) / config.batch * config.epochs);
  return steps * found->second * factor(parse_kind(config.kind));
}

}  // namespace lathe::experiments
