#include "cell.h"

#include "deploy.h"
#include "detail.h"
#include "machine.h"
#include "progress.h"
#include "train.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/base/parallel.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>

#include <algorithm>

namespace lathe::experiments {
namespace {

Cell config_json(const CellConfig& config) {
  return {{"base", config.base},
          {"kind", config.kind},
          {"seed", config.seed},
          {"dataset", config.dataset},
          {"epochs", config.epochs},
          {"batch", config.batch},
          {"train_limit", config.train_limit},
          {"precision", std::string(to_string(config.precision))}};
}

Cell parse_cell(const std::filesystem::path& path) {
  const auto bytes = read_file(path);
  const Cell cell = Cell::parse(reinterpret_cast<const char*>(bytes.data()),
                                reinterpret_cast<const char*>(bytes.data()) + bytes.size(), nullptr, false);
  check(
      cell.is_object() && cell.contains("config") && cell.contains("results") && cell["results"].is_object(),
      "{} is not a result of lathe: delete it to make it again", path.string());
  return cell;
}

std::int64_t count_zeros(const Tensor& tensor) { return std::ranges::count(tensor.span<float>(), 0.0f); }

/// The kernel that pruning may thin out: of convolutions (not depthwise ones) and linear layers. Empty for
/// other modules.
Tensor prunable_weight(const layers::Module& module) {
  if (const auto* conv = dynamic_cast<const layers::Conv2d*>(&module)) return conv->weight.value();
  if (const auto* linear = dynamic_cast<const layers::Linear*>(&module)) return linear->weight.value();
  return {};
}

/// Parameters, zeros, FLOPs.
void describe_model(layers::Module& model, const graph::Graph& graph, Cell& results) {
  std::int64_t zeros = 0, prunable = 0, prunable_zeros = 0;
  for (const auto& [name, parameter] : model.parameters()) zeros += count_zeros(parameter.value());
  for (const auto& [path, module] : model.modules())
    if (const Tensor weight = prunable_weight(*module)) {
      prunable += weight.size();
      prunable_zeros += count_zeros(weight);
    }
  const auto all = layers::count_parameters(model).all;
  results["params"] = all;
  results["flops"] = graph::count_flops(graph);
  results["sparsity"] = static_cast<double>(zeros) / static_cast<double>(all);
  results["prunable_sparsity"] =
      static_cast<double>(prunable_zeros) / static_cast<double>(std::max<std::int64_t>(prunable, 1));
}

/// Runs that tell apart the steps of a plan: what takes long is measured well enough by fewer.
std::int64_t step_runs(const Latency& latency) {
  constexpr double kLongMs = 2;
  constexpr std::int64_t kRunsOfLong = 50;
  return latency.median_ms < kLongMs ? latency.runs : std::min(latency.runs, kRunsOfLong);
}

/// Writes a variant's file, reads it back, and measures what was read.
void measure_variant(const std::string& variant, const graph::Graph& graph, const CellConfig& config,
                     const datasets::Named& data, const ResultFolder& folder, const DeployOptions& options,
                     Cell& results, Cell& details) {
  const auto path = folder.model(config.id(), variant);
  graph::save(graph, path);
  const graph::Graph deployed = graph::load(path);
  const auto bytes = read_file(path);
  results[variant + "_bytes"] = bytes.size();
  results[variant + "_gz_bytes"] = gzip_bytes(bytes);

  ProgressLine line(options.cell.quiet ? nullptr : stderr,
                    fmt::format("{} {}: test set", options.cell.title, variant));
  const auto predictions =
      predict(deployed, *data.test, [&](std::int64_t done, std::int64_t total) { line.update(done, total); });
  results[variant + "_acc"] = accuracy(predictions, *data.test);

  runtime::Plan plan(deployed);
  fill_input(plan, *data.test, 0);
  const Latency latency = measure_latency(plan, options.latency_runs);
  results[variant + "_median_ms"] = latency.median_ms;
  results[variant + "_mean_ms"] = latency.mean_ms;
  results[variant + "_p90_ms"] = latency.p90_ms;
  results[variant + "_p99_ms"] = latency.p99_ms;
  results[variant + "_min_ms"] = latency.min_ms;
  results[variant + "_max_ms"] = latency.max_ms;
  results[variant + "_runs"] = latency.runs;
  results[variant + "_arena_bytes"] = plan.arena_bytes();
  details[variant] = {{"layers", layer_details(plan, step_runs(latency), bytes)},
                      {"confusion", confusion_matrix(predictions, *data.test)}};
}

}  // namespace

std::string CellConfig::id() const { return fmt::format("{}_{}_s{}", base, kind, seed); }

Cell make_cell(const CellConfig& config, const datasets::Named& data, const CellOptions& options) {
  return {{"config", config_json(config)},
          {"command", options.command},
          {"generated_data", data.generated},
          {"environment",
           describe_machine(options.training_threads > 0 ? options.training_threads : num_threads())}};
}

Cell find_cell(const CellConfig& config, const ResultFolder& folder) {
  const auto path = folder.cell(config.id());
  if (!std::filesystem::exists(path)) return nullptr;
  Cell cell = parse_cell(path);
  Cell made = cell["config"];
  if (made.is_object()) made.emplace("precision", "f32");  // before there was a choice
  check(made == config_json(config),
        "{} was made with other settings ({}, now {}): choose another --out or delete it", path.string(),
        made.dump(), config_json(config).dump());
  return cell;
}

std::vector<Cell> read_cells(const ResultFolder& folder) {
  std::vector<std::filesystem::path> paths;
  if (std::filesystem::is_directory(folder.root / "cells"))
    for (const auto& entry : std::filesystem::directory_iterator(folder.root / "cells"))
      if (entry.path().extension() == ".json") paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<Cell> cells;
  for (const auto& path : paths) cells.push_back(parse_cell(path));
  return cells;
}

Cell run_cell(const CellConfig& config, const datasets::Named& data, const ResultFolder& folder,
              const CellOptions& options) {
  const Kind kind = parse_kind(config.kind);
  const auto trained = train_cell(config, recipe_for(config.base, kind), data, folder, options);
  return trained ? deploy_cell(config, *trained, data, folder, {.cell = options}) : Cell(nullptr);
}

Cell deploy_cell(const CellConfig& config, const TrainedModel& trained, const datasets::Named& data,
                 const ResultFolder& folder, const DeployOptions& options) {
  const std::string id = config.id();
  layers::Module& model = *trained.model;

  const Shape& input = layers::find_model(config.base).input;
  const graph::Graph float_graph = compress::export_float(model, input);

  Cell results = {{"exp_id", id},        {"base", config.base},     {"kind", config.kind},
                  {"seed", config.seed}, {"epochs", config.epochs}, {"batch", config.batch}};
  describe_model(model, float_graph, results);
  if (trained.unique_weights > 0) results["unique_weights"] = trained.unique_weights;
  results["checkpoint_bytes"] = std::filesystem::file_size(trained.checkpoint);
  const std::pair<const char*, graph::Graph> variants[] = {
      {"float", float_graph},
      {"fp16", compress::to_half(float_graph)},
      {"dynamic", compress::quantize_dynamic(float_graph)},
      {"int8", in_integers(trained, float_graph, {.scheme = compress::Scheme::int8})},
      {"int16x8", in_integers(trained, float_graph, {.scheme = compress::Scheme::int16x8})}};
  Cell details = Cell::object();
  for (const auto& [variant, graph] : variants)
    measure_variant(variant, graph, config, data, folder, options, results, details);
  results["test_acc"] = results["float_acc"];
  results["acc_drop_int8"] = results["float_acc"].get<double>() - results["int8_acc"].get<double>();
  const auto ratio = [&](const char* of) {
    return results[of].get<double>() / results["int8_bytes"].get<double>();
  };
  results["size_ratio_int8"] = ratio("float_bytes");
  results["checkpoint_ratio_int8"] = ratio("checkpoint_bytes");
  results["train_seconds"] = trained.seconds;

  Cell cell = make_cell(config, data, options.cell);
  for (const auto& [key, value] : options.extra.items()) cell[key] = value;
  cell["results"] = std::move(results);
  cell["details"] = std::move(details);
  write_file(folder.cell(id), cell.dump(2) + "\n");
  return cell;
}

}  // namespace lathe::experiments
