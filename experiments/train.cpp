#include "train.h"

#include "frozen_features.h"
#include "layer_history.h"
#include "tensorboard/callback.h"
#include "training_status.h"

#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/datasets/augment.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/models.h>
#include <lathe/layers/pretrained.h>
#include <lathe/optim/callbacks.h>
#include <lathe/optim/trainer.h>

#include <algorithm>
#include <tuple>

namespace lathe::experiments {
namespace {

/// Held out of the training set for the validation columns of the history.
constexpr double kValidationShare = 1.0 / 12;
/// Images that show the ranges of activations, from the training set; photos have many more pixels each.
constexpr std::int64_t kCalibrationImages = 1024, kCalibrationPhotos = 128;
/// As the study on photos was published.
constexpr optim::ReduceOnPlateau::Options kPlateau = {
    .factor = 0.1f, .patience = 3, .min_delta = 5e-3, .floor = 5e-9f};
/// Whose soft targets kd uses: the best of the MNIST models.
constexpr const char* kTeacher = "conv";

std::int64_t share_of(std::int64_t steps, float share) {
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(share * static_cast<float>(steps)));
}

/// All layers, or the linear ones of the head: networks for photos have others, within squeeze-and-excite.
compress::Selection selected_layers(const layers::Module& model, bool only_linear) {
  if (!only_linear) return {};
  compress::Selection selection{.types = {"Linear"}};
  if (dynamic_cast<const layers::ImageClassifier*>(&model) != nullptr) selection.patterns = {"classifier.*"};
  return selection;
}

/// Has a layer enough inputs to lose whole blocks of them? The first convolutions of a network do not.
bool has_blocks(const layers::Module& layer, const compress::Block& block) {
  constexpr std::int64_t kFewest = 16;
  return std::ranges::any_of(layer.parameters(), [&](const layers::NamedParameter& named) {
    const Shape& weight = named.parameter.master().shape();
    return weight.rank() >= 2 && weight.size() / weight[0] >= kFewest * block.inputs;
  });
}

/// What is frozen stays as it is: no pass changes its weights.
bool is_trained(const std::string&, const layers::Module& layer) {
  return std::ranges::any_of(layer.parameters(), [](const layers::NamedParameter& named) {
    return named.parameter.master().requires_grad();
  });
}

compress::PruneOptions pruning(const layers::Module& model, const Kind& kind, const Recipe& recipe,
                               std::int64_t steps) {
  compress::Selection layers = selected_layers(model, kind.prune_dense);
  if (!kind.prune_dense) layers.exclude = recipe.dense;
  layers.visitor = is_trained;
  if (kind.pattern)
    return {.schedule = compress::ConstantSparsity{}, .structure = *kind.pattern, .layers = layers};
  const std::int64_t end = share_of(steps, recipe.pruned_by);
  // A mask every hundredth of the way, the last one at its end.
  const std::int64_t frequency = std::max<std::int64_t>(1, end / 100);
  if (kind.block)
    layers.visitor = [block = *kind.block](const std::string& name, const layers::Module& layer) {
      return is_trained(name, layer) && has_blocks(layer, block);
    };
  return {.schedule = compress::PolynomialDecay{.initial = recipe.sparsity_from,
                                                .final = *kind.sparsity,
                                                .end = end - end % frequency,
                                                .frequency = frequency},
          .structure = kind.block.value_or(compress::Block{}),
          .layers = layers};
}

compress::ClusterOptions clustering(const Kind& kind, const Recipe& recipe, bool sparse, std::int64_t steps) {
  return {.clusters = kind.clusters,
          .per_channel = recipe.codebook_per_channel,
          .init = kind.centroid_init,
          .preserve_sparsity = sparse,
          .begin = recipe.clusters_from > 0 ? share_of(steps, recipe.clusters_from) : 0,
          .layers = {.visitor = is_trained}};
}

std::int64_t most_values(const std::vector<compress::ClusteredWeight>& weights) {
  std::int64_t most = 0;
  for (const auto& weight : weights) {
    const Tensor value = weight.parameter.value();
    most = std::max(most, compress::count_unique(value.span<float>()));
  }
  return most;
}

std::vector<Tensor> first_images(const datasets::DatasetPtr& images, bool photos) {
  const datasets::DataLoader loader(datasets::take(images, photos ? kCalibrationPhotos : kCalibrationImages),
                                    {.batch = photos ? 16 : 128});
  std::vector<Tensor> batches;
  for (auto epoch = loader.epoch(0); auto batch = epoch.next();) batches.push_back(batch->images);
  return batches;
}

/// Takes up what earlier passes made of the weights, then attaches those of `kind`.
std::vector<std::unique_ptr<optim::Callback>> attach_passes(layers::Module& model, const Kind& kind,
                                                            const Recipe& recipe, const Start& start,
                                                            std::span<const Tensor> calibration,
                                                            std::int64_t steps) {
  std::vector<std::unique_ptr<optim::Callback>> passes;
  if (start.keep_zeros) compress::from_zeros(model);
  if (start.keep_values) compress::from_unique(model, {.per_channel = recipe.codebook_per_channel});
  if (kind.prunes()) passes.push_back(compress::prune(model, pruning(model, kind, recipe, steps)));
  if (kind.clusters > 0)
    passes.push_back(
        compress::cluster(model, clustering(kind, recipe, kind.prunes() || start.keep_zeros, steps)));
  if (kind.quantization_aware)
    passes.push_back(compress::quantize_aware(model, calibration[0].shape().with(0, 1), calibration,
                                              {.layers = selected_layers(model, kind.quantize_dense)}));
  return passes;
}

/// Training images as the recipe shows them.
datasets::DatasetPtr augmented(datasets::DatasetPtr images, const Recipe& recipe) {
  const Shape shape = images->image_shape();
  if (recipe.shift_pixels > 0) images = datasets::map(images, datasets::random_shift(recipe.shift_pixels));
  if (recipe.least_area < 1)
    images = datasets::map(
        images, datasets::random_resized_crop(shape[0], shape[1], {.least_area = recipe.least_area}));
  if (recipe.flip) images = datasets::map(images, datasets::random_flip());
  return images;
}

/// Can the head be trained on features that are computed once? When nothing before it is trained, and no pass
/// works on anything but the head.
bool trains_head_only(layers::ImageClassifier& model, const Kind& kind) {
  const bool head_passes =
      kind.clusters == 0 && !kind.quantization_aware && !kind.distil && (!kind.prunes() || kind.prune_dense);
  std::size_t in_head = 0;
  for (const auto& [name, parameter] : model.classifier().parameters())
    in_head += parameter.master().requires_grad();
  return head_passes && layers::trainable_parameters(model).size() == in_head;
}

/// What the trainer works on: the model and its images, or its head and their features.
struct Task {
  layers::Module* model = nullptr;
  std::unique_ptr<layers::Module> head = {};
  datasets::DatasetPtr train, validation;
  float peak_learning_rate = 0;
};

Task make_task(layers::Module& model, const Kind& kind, const Recipe& recipe,
               const datasets::DatasetPtr& images, const datasets::DatasetPtr& held_out) {
  auto* classifier = dynamic_cast<layers::ImageClassifier*>(&model);
  if (classifier == nullptr || !trains_head_only(*classifier, kind))
    return {.model = &model,
            .train = augmented(images, recipe),
            .validation = held_out,
            .peak_learning_rate = recipe.peak_learning_rate};
  Task task{.head = head_alone(*classifier),
            .train = frozen_features(images, *classifier),
            .validation = frozen_features(held_out, *classifier),
            .peak_learning_rate = recipe.head_learning_rate};
  task.model = task.head.get();
  return task;
}

/// The trained model of a cell that another one needs.
std::optional<TrainedModel> train_needed(const CellConfig& config, const datasets::Named& data,
                                         const ResultFolder& folder, CellOptions options) {
  options.title += " from " + config.id();
  options.status = nullptr;
  return train_cell(config, recipe_for(config.base), data, folder, options);
}

CellConfig baseline_of(CellConfig config, const std::string& base) {
  config.base = base;
  config.kind = "baseline";
  return config;
}

}  // namespace

std::optional<TrainedModel> train_model(const CellConfig& config, const Kind& kind, const Recipe& recipe,
                                        const Start& start, layers::Module* teacher,
                                        const datasets::Named& data, const ResultFolder& folder,
                                        const CellOptions& options) {
  const std::string id = config.id();
  release_cached_memory();
  TrainedModel result{.model = layers::find_model(config.base).make()};
  layers::Module& model = *result.model;
  model.reset(Rng(config.seed));
  if (start.weights != nullptr) layers::load_weights(model, layers::weights(*start.weights));
  if (!start.freeze.empty()) layers::freeze(model, start.freeze);

  auto images = config.train_limit > 0 ? datasets::take(data.train, config.train_limit) : data.train;
  auto held_out = data.validation;
  if (held_out == nullptr)
    std::tie(images, held_out) = datasets::split(images, kValidationShare, config.seed);
  result.calibration = first_images(images, recipe.photos);
  const Task task = make_task(model, kind, recipe, images, held_out);
  const datasets::DataLoader train(task.train, {.batch = config.batch,
                                                .shuffle = true,
                                                .seed = config.seed,
                                                .workers = recipe.photos && task.head == nullptr ? 1 : 0});
  // Photos in batches of the same size: their activations then take the memory that those of training had.
  const datasets::DataLoader validation(task.validation, {.batch = recipe.photos ? config.batch : 256});
  const std::int64_t steps = config.epochs * train.batches();

  auto passes = attach_passes(model, kind, recipe, start, result.calibration, steps);
  Recipe tuned = recipe;
  tuned.peak_learning_rate = task.peak_learning_rate;
  const auto optimizer = make_optimizer(*task.model, tuned);
  for (const auto& [pattern, factor] : start.rates) optimizer->scale_learning_rate(pattern, factor);
  optim::Trainer trainer(
      *task.model, *optimizer,
      {.epochs = config.epochs,
       .schedule = make_schedule(tuned, steps),
       .loss = kind.distil ? compress::distillation(compress::teacher(*teacher),
                                                    {.temperature = recipe.temperature,
                                                     .hard_weight = recipe.hard_weight,
                                                     .cache = recipe.shift_pixels == 0 && !recipe.flip})
                           : optim::Loss{},
       .precision = config.precision,
       .checkpoint = folder.checkpoint(id),
       .model_name = task.head == nullptr ? config.base : "",
       .interrupt = options.interrupt});
  for (auto& pass : passes) trainer.add(std::move(pass));
  const optim::BestCheckpoint* best = nullptr;
  if (recipe.rate_schedule == RateSchedule::plateau) {
    trainer.add(std::make_unique<optim::ReduceOnPlateau>(kPlateau));
    auto keep = std::make_unique<optim::BestCheckpoint>(folder.best_weights(id), true,
                                                        task.head == nullptr ? config.base : "");
    best = keep.get();
    trainer.add(std::move(keep));
  }
  if (!options.quiet) trainer.add(std::make_unique<optim::ProgressBar>(stderr, options.title));
  if (options.status) trainer.add(std::make_unique<StatusLines>(options.status));
  trainer.add(std::make_unique<optim::HistoryCsv>(folder.history(id)));
  trainer.add(std::make_unique<LayerHistory>(folder.layer_history(id)));
  if (!options.tensorboard.empty()) trainer.add(std::make_unique<TensorBoard>(options.tensorboard / id));
  const auto trained = trainer.fit(train, &validation);
  if (trained.interrupted) return {};

  // What was freed has been kept, so this is the peak.
  const MemoryStats memory = memory_stats();
  result.tensor_bytes = memory.used_bytes + memory.cached_bytes;
  const auto clustered = compress::clustered_weights(model);
  compress::strip(model);
  result.checkpoint = folder.checkpoint(id);
  if (task.head != nullptr) layers::save_weights(model, config.base, result.checkpoint = folder.weights(id));
  result.quantization_aware = kind.quantization_aware;
  result.unique_weights = most_values(clustered);
  result.seconds = trained.seconds;
  result.validation_accuracy =
      best != nullptr && best->best_accuracy() >= 0 ? best->best_accuracy() : trained.validation.accuracy;
  return result;
}

std::vector<CellConfig> trained_before(const CellConfig& config) {
  const Kind kind = parse_kind(config.kind);
  std::vector<CellConfig> result;
  if (recipe_for(config.base, kind).from_baseline) result.push_back(baseline_of(config, config.base));
  if (kind.distil && (result.empty() || config.base != kTeacher))
    result.push_back(baseline_of(config, kTeacher));
  return result;
}

std::int64_t training_images(const CellConfig& config, const datasets::Named& data) {
  const std::int64_t all = data.train->size();
  const std::int64_t taken = config.train_limit > 0 ? std::min(config.train_limit, all) : all;
  if (data.validation != nullptr) return taken;
  return taken - static_cast<std::int64_t>(kValidationShare * static_cast<double>(taken));
}

std::optional<TrainedModel> train_cell(const CellConfig& config, const Recipe& recipe,
                                       const datasets::Named& data, const ResultFolder& folder,
                                       const CellOptions& options) {
  const Kind kind = parse_kind(config.kind);
  std::optional<TrainedModel> baseline, teacher;
  if (recipe.from_baseline &&
      !(baseline = train_needed(baseline_of(config, config.base), data, folder, options)))
    return {};
  if (kind.distil && !(teacher = train_needed(baseline_of(config, kTeacher), data, folder, options)))
    return {};
  return train_model(config, kind, recipe, {.weights = baseline ? baseline->model.get() : nullptr},
                     teacher ? teacher->model.get() : nullptr, data, folder, options);
}

}  // namespace lathe::experiments
