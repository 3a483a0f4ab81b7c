#include <lathe/compress/batch_norm.h>

#include <lathe/base/error.h>
#include <lathe/core/autograd.h>
#include <lathe/layers/layers.h>

#include <vector>

namespace lathe::compress {
namespace {

void validate(const ReEstimateOptions& options) {
  check(options.batches >= 1, "re_estimate_batch_norm: {} batches, expected at least 1", options.batches);
}

}  // namespace

std::int64_t re_estimate_batch_norm(layers::Module& model, const datasets::DataLoader& loader,
                                    const ReEstimateOptions& options) {
  validate(options);
  std::vector<layers::BatchNorm2d*> norms;
  for (const auto& [path, module] : model.modules())
    if (auto* norm = dynamic_cast<layers::BatchNorm2d*>(module)) norms.push_back(norm);
  if (norms.empty()) return 0;

  const NoGrad no_grad;
  const layers::EvalMode mode(model);
  std::vector<float> momenta;
  for (layers::BatchNorm2d* norm : norms) {
    norm->train();
    momenta.push_back(norm->momentum());
  }
  try {
    auto batches = loader.epoch(0);
    for (std::int64_t i = 0; i < options.batches; ++i) {
      const auto batch = batches.next();
      if (!batch) break;
      // moving = i / (i + 1) * moving + 1 / (i + 1) * batch is the mean of all so far.
      for (layers::BatchNorm2d* norm : norms)
        norm->set_momentum(static_cast<float>(i) / static_cast<float>(i + 1));
      model(batch->images);
    }
  } catch (...) {
    for (std::size_t i = 0; i < norms.size(); ++i) norms[i]->set_momentum(momenta[i]);
    throw;
  }
  for (std::size_t i = 0; i < norms.size(); ++i) norms[i]->set_momentum(momenta[i]);
  return static_cast<std::int64_t>(norms.size());
}

BatchNormReEstimation::BatchNormReEstimation(const datasets::DataLoader& loader,
                                             const ReEstimateOptions& options)
    : loader_(loader), options_(options) {
  validate(options);
}

void BatchNormReEstimation::eval_begin(optim::TrainState& state) {
  re_estimate_batch_norm(state.model, loader_, options_);
}
void BatchNormReEstimation::fit_end(optim::TrainState& state) {
  re_estimate_batch_norm(state.model, loader_, options_);
}

}  // namespace lathe::compress
