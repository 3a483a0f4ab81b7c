#include "photo_study.h"

#include "kind.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/layers/models.h>
#include <lathe/layers/pretrained.h>
#include <lathe/optim/trainer.h>

#include <zlib.h>

#include <filesystem>

namespace lathe::experiments {
namespace {

std::string checksum(const std::string& file) {
  if (file.empty()) return "";
  const std::vector<std::byte> bytes = read_file(file);
  return fmt::format("{:08x}", crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Cell start_json(const PhotoExperiment& experiment) {
  Cell start = Cell::object();
  start["weights"] = std::filesystem::path(experiment.weights).filename().string();
  start["weights_crc32"] = checksum(experiment.weights);
  start["freeze"] = experiment.freeze;
  start["rates"] = experiment.rates;
  start["schedule"] = to_string(experiment.schedule);
  start["test_above"] = experiment.test_above;
  return start;
}

/// Beside a checkpoint, which says nothing of the photos and weights that it is made of.
std::filesystem::path start_file(const PhotoExperiment& experiment, const ResultFolder& folder) {
  return std::filesystem::path(folder.checkpoint(experiment.config.id())).replace_extension(".start.json");
}

void check_start(const std::filesystem::path& made, const Cell& given, const Cell& wanted) {
  check(given == wanted, "{} was made with another start ({}, now {}): choose another --out or delete it",
        made.string(), given.dump(), wanted.dump());
}

void check_checkpoint(const PhotoExperiment& experiment, const ResultFolder& folder) {
  const std::filesystem::path checkpoint = folder.checkpoint(experiment.config.id()),
                              file = start_file(experiment, folder);
  if (!std::filesystem::exists(checkpoint)) return;
  Cell given;
  if (std::filesystem::exists(file)) {
    const std::vector<std::byte> bytes = read_file(file);
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    given = Cell::parse(text, text + bytes.size(), nullptr, false);
  }
  check_start(checkpoint, given.is_discarded() ? Cell() : given, start_json(experiment));
}

PhotoExperiment baseline_of(PhotoExperiment experiment) {
  experiment.config.kind = "baseline";
  return experiment;
}

/// The baseline's start: the weights of the file, or random ones.
std::unique_ptr<layers::Module> first_weights(const PhotoExperiment& experiment) {
  auto model = layers::find_model(experiment.config.base).make();
  model->reset(Rng(experiment.config.seed));  // of a head for other classes
  if (!experiment.weights.empty()) load_start(*model, experiment.config.base, experiment.weights);
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
    const PhotoExperiment baseline = baseline_of(experiment);
    CellOptions before = options;
    before.title += " from " + baseline.config.id();
    auto trained = train(baseline, data, folder, before);
    if (!trained) return {};
    begin = std::move(trained->model);
  } else {
    begin = first_weights(experiment);
  }
  check_checkpoint(experiment, folder);
  write_file(start_file(experiment, folder), start_json(experiment).dump() + "\n");
  return train_model(config, kind, recipe,
                     {.weights = begin.get(), .freeze = experiment.freeze, .rates = experiment.rates},
                     nullptr, data, folder, options);
}

}  // namespace

void load_start(layers::Module& model, const std::string& name, const std::string& file) {
  layers::load_pretrained(model, name, optim::load_model_weights(file).tensors, file);
}

Cell find_photo_cell(const PhotoExperiment& experiment, const ResultFolder& folder) {
  check_checkpoint(experiment, folder);
  check_checkpoint(baseline_of(experiment), folder);
  const Cell cell = find_cell(experiment.config, folder);
  if (!cell.is_null())
    check_start(folder.cell(experiment.config.id()), cell.value("start", Cell::object()),
                start_json(experiment));
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
