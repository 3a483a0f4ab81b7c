#include "photo_study.h"

#include "kind.h"

#include <lathe/base/error.h>
#include <lathe/layers/models.h>
#include <lathe/layers/pretrained.h>

#include <filesystem>

namespace lathe::experiments {
namespace {

Cell start_json(const PhotoExperiment& experiment) {
  Cell start = Cell::object();
  start["weights"] = std::filesystem::path(experiment.weights).filename().string();
  start["freeze"] = experiment.freeze;
  start["rates"] = experiment.rates;
  start["schedule"] = to_string(experiment.schedule);
  return start;
}

/// The baseline's start: the weights of the file, or random ones.
std::unique_ptr<layers::Module> first_weights(const PhotoExperiment& experiment) {
  auto model = layers::find_model(experiment.config.base).make();
  model->reset(Rng(experiment.config.seed));  // of a head for other classes
  if (!experiment.weights.empty())
    layers::load_pretrained(*model, experiment.config.base, experiment.weights);
  return model;
}

std::optional<TrainedModel> train(const PhotoExperiment& experiment, const datasets::Named& data,
                                  const ResultFolder& folder, const CellOptions& options) {
  const CellConfig& config = experiment.config;
  const Kind kind = parse_kind(config.kind);
  Recipe recipe = recipe_for(config.base, kind);
  recipe.rate_schedule = experiment.schedule;
  std::unique_ptr<layers::Module> begin;
  if (recipe.from_baseline) {
    PhotoExperiment baseline = experiment;
    baseline.config.kind = "baseline";
    CellOptions before = options;
    before.title += " from " + baseline.config.id();
    auto trained = train(baseline, data, folder, before);
    if (!trained) return {};
    begin = std::move(trained->model);
  } else {
    begin = first_weights(experiment);
  }
  return train_model(config, kind, recipe,
                     {.weights = begin.get(), .freeze = experiment.freeze, .rates = experiment.rates},
                     nullptr, data, folder, options);
}

}  // namespace

Cell find_photo_cell(const PhotoExperiment& experiment, const ResultFolder& folder) {
  const Cell cell = find_cell(experiment.config, folder);
  if (cell.is_null()) return cell;
  const Cell given = cell.value("start", Cell::object()), wanted = start_json(experiment);
  check(given == wanted, "{} was made with another start ({}, now {}): choose another --out or delete it",
        folder.cell(experiment.config.id()).string(), given.dump(), wanted.dump());
  return cell;
}

Cell run_photo_cell(const PhotoExperiment& experiment, const datasets::Named& data,
                    const ResultFolder& folder, const CellOptions& options) {
  const auto trained = train(experiment, data, folder, options);
  if (!trained) return nullptr;
  return deploy_cell(
      experiment.config, *trained, data, folder,
      {.cell = options,
       .latency_runs = experiment.latency_runs,
       .extra = {{"start", start_json(experiment)}, {"training_tensor_bytes", trained->tensor_bytes}}});
}

}  // namespace lathe::experiments
