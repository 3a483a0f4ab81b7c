#include "method.h"

#include "deploy.h"
#include "measure.h"
#include "rows.h"
#include "train.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/layers/models.h>
#include <lathe/optim/metrics.h>

#include <algorithm>
#include <chrono>

namespace lathe::experiments {
namespace {

constexpr const char* kModel = "tutorial";

struct Optimisation {
  std::string_view name, from;
  std::string_view passes;  ///< as a kind
  bool keep_zeros = false, keep_values = false;
  bool per_channel = false;  ///< codebooks
};

/// As published: 80 % of the weights pruned on a schedule that begins at 50 %, 8 clusters, and on top of each
/// quantization-aware training that either knows nothing of it (qat) or keeps it (pqat, cqat, pcqat).
constexpr Optimisation kOptimisations[] = {
    {"none", "", "baseline"},
    {"prune", "none", "prune-0.8"},
    {"quantize", "none", "qat"},
    {.name = "cluster", .from = "none", .passes = "cluster-8", .per_channel = true},
    {"cluster_qat", "cluster", "qat"},
    {.name = "cluster_cqat", .from = "cluster", .passes = "qat", .keep_values = true, .per_channel = true},
    {"prune_qat", "prune", "qat"},
    {.name = "prune_pqat", .from = "prune", .passes = "qat", .keep_zeros = true},
    {.name = "prune_cluster", .from = "prune", .passes = "cluster-8", .keep_zeros = true},
    {"prune_cluster_qat", "prune_cluster", "qat"},
    {.name = "prune_cluster_pcqat",
     .from = "prune_cluster",
     .passes = "qat",
     .keep_zeros = true,
     .keep_values = true},
};

const Optimisation& find_optimisation(std::string_view name) {
  const auto found = std::ranges::find(kOptimisations, name, &Optimisation::name);
  std::string names;
  for (const Optimisation& each : kOptimisations)
    names += (names.empty() ? "" : ", ") + std::string(each.name);
  check(found != std::end(kOptimisations), "there is no optimisation '{}'; there are: {}", name, names);
  return *found;
}

std::optional<TrainedModel> train(const CellConfig& config, const datasets::Named& data,
                                  const ResultFolder& folder, const CellOptions& options) {
  const Optimisation& what = find_optimisation(config.kind);
  std::optional<TrainedModel> before;
  if (!what.from.empty()) {
    CellConfig needed = config;
    needed.kind = what.from;
    CellOptions quiet = options;
    quiet.status = nullptr;
    if (!(before = train(needed, data, folder, quiet))) return {};
  }
  const Kind kind = parse_kind(what.passes);
  Recipe recipe = recipe_for(config.base, kind);
  recipe.codebook_per_channel = what.per_channel;
  if (kind.prunes()) recipe.sparsity_from = 0.5f;
  const Start start{.weights = before ? before->model.get() : nullptr,
                    .keep_zeros = what.keep_zeros,
                    .keep_values = what.keep_values};
  return train_model(config, kind, recipe, start, nullptr, data, folder, options);
}

/// A figure of a cell. Throws Error when it is not there.
double number_of(const Cell& cell, const char* method, const char* column) {
  const Cell& results = cell["results"];
  const bool there = results.contains(method) && results[method].is_object() &&
                     results[method].contains(column) && results[method][column].is_number();
  check(there, "the cell of {} is damaged: it has no {} of {}", cell["config"]["kind"].dump(), column,
        method);
  return results[method][column].get<double>();
}

double milliseconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

/// The trained weights in a file, and the module over the test set in batches of 32.
Cell measure_checkpoint(const TrainedModel& trained, const std::filesystem::path& path,
                        const datasets::Named& data) {
  layers::save_weights(*trained.model, kModel, path);
  const datasets::DataLoader loader(data.test, {.batch = 32});
  const auto begin = std::chrono::steady_clock::now();
  const optim::Metrics metrics = optim::evaluate(*trained.model, loader);
  return {{"accuracy", metrics.accuracy},
          {"total_ms", milliseconds_since(begin)},
          {"bytes", std::filesystem::file_size(path)}};
}

Cell measure_method(const graph::Graph& graph, const std::filesystem::path& path,
                    const datasets::Named& data) {
  graph::save(graph, path);
  const graph::Graph deployed = graph::load(path);
  runtime::Plan plan(deployed);
  return {{"accuracy", accuracy(predict(deployed, *data.test), *data.test)},
          {"total_ms", measure_total(plan, *data.test)},
          {"bytes", std::filesystem::file_size(path)}};
}

}  // namespace

std::vector<std::string> optimisations() {
  std::vector<std::string> names;
  for (const Optimisation& each : kOptimisations) names.emplace_back(each.name);
  return names;
}

std::string optimised_from(std::string_view optimisation) {
  return std::string(find_optimisation(optimisation).from);
}

CellConfig optimisation_cell(const std::string& optimisation, std::uint64_t seed, const std::string& dataset,
                             std::int64_t epochs, std::int64_t batch) {
  find_optimisation(optimisation);
  return {.base = kModel,
          .kind = optimisation,
          .seed = seed,
          .dataset = dataset,
          .epochs = epochs,
          .batch = batch};
}

CellConfig like_grid(CellConfig config) {
  config.kind = find_optimisation(config.kind).passes;
  return config;
}

bool train_optimisation(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
                        const CellOptions& options) {
  return train(config, data, folder, options).has_value();
}

Cell run_optimisation(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
                      const CellOptions& options) {
  const auto trained = train(config, data, folder, options);
  if (!trained) return nullptr;
  layers::Module& model = *trained->model;
  const Shape& input = layers::find_model(config.base).input;
  const graph::Graph real = compress::export_float(model, input);
  const std::pair<const char*, graph::Graph> methods[] = {
      {"fp32", real},
      {"fp16", compress::to_half(real)},
      {"dynamic", compress::quantize_dynamic(real)},
      {"uint8", in_integers(*trained, real, {.input = compress::Border::u8, .output = compress::Border::u8})},
      {"int16x8", in_integers(*trained, real, {.scheme = compress::Scheme::int16x8})}};

  const std::string id = config.id();
  Cell results = {
      {"checkpoint", measure_checkpoint(*trained, folder.weights(id), data)}};
  for (const auto& [method, graph] : methods)
    results[method] = measure_method(graph, folder.model(id, method), data);
  Cell cell = make_cell(config, data, options);
  cell["results"] = std::move(results);
  write_file(folder.cell(id), cell.dump(2) + "\n");
  return cell;
}

bool is_method_cell(const Cell& cell) {
  return cell.contains("config") && cell["config"].is_object() && cell["config"].contains("kind") &&
         cell.contains("results") && cell["results"].is_object() && cell["results"].contains("checkpoint");
}

std::vector<MethodResult> method_results(const std::vector<Cell>& cells) {
  std::vector<MethodResult> result;
  for (const std::string& optimisation : optimisations()) {
    std::vector<const Cell*> seeds;
    for (const Cell& cell : cells)
      if (cell["config"]["kind"] == optimisation) seeds.push_back(&cell);
    if (seeds.empty()) continue;
    for (const char* method : {"checkpoint", "fp32", "fp16", "dynamic", "uint8", "int16x8"}) {
      const auto median = [&](const char* column) {
        std::vector<double> values;
        for (const Cell* cell : seeds) values.push_back(number_of(*cell, method, column));
        return statistic(std::move(values)).median;
      };
      result.push_back({.optimisation = optimisation,
                        .method = method,
                        .accuracy = median("accuracy"),
                        .total_ms = median("total_ms"),
                        .bytes = median("bytes")});
    }
  }
  return result;
}

}  // namespace lathe::experiments
