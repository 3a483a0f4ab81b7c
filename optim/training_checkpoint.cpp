#include "training_checkpoint.h"

#include <lathe/base/error.h>
#include <lathe/layers/checkpoint.h>

#include "number_text.h"

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

// A safetensors file. Tensors: "model.NAME" and "optimizer.NAME". Metadata, each a JSON text:
//   lathe_training  the version of this layout
//   fingerprint     [[name, value], ...]
//   progress        {epoch, step, ...}; fractions as text, which is exact and knows inf and nan
//   optimizer       {steps, learning_rate}
//   random          {name: [seed, stream, position]} of the modules
//   callbacks       {name: state}
// and "model", the model's name as it is, when there is one.
namespace lathe::optim {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kVersion = "1";
constexpr std::string_view kModel = "model.";
constexpr std::string_view kOptimizer = "optimizer.";

Json metrics_to_json(const Metrics& metrics) {
  return {exact_text(metrics.loss), exact_text(metrics.accuracy), metrics.samples};
}

double exact_number(const Json& json) { return parse_number(json.get<std::string>()); }

std::int64_t natural(const Json& json) {
  const auto value = json.get<std::uint64_t>();
  check(json.is_number_unsigned() && value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()},
        "{} is not a natural number", json.dump());
  return static_cast<std::int64_t>(value);
}

Metrics metrics_from_json(const Json& json) {
  return {exact_number(json.at(0)), exact_number(json.at(1)), natural(json.at(2))};
}

Json to_json(const Progress& progress) {
  return {{"epoch", progress.epoch},
          {"step", progress.step},
          {"step_in_epoch", progress.step_in_epoch},
          {"loss_sum", exact_text(progress.sums.loss)},
          {"correct", progress.sums.correct},
          {"samples", progress.sums.samples},
          {"validation", metrics_to_json(progress.validation)},
          {"epoch_seconds", exact_text(progress.epoch_seconds)},
          {"seconds", exact_text(progress.seconds)},
          {"stop", progress.stop},
          {"stop_reason", progress.stop_reason}};
}

Progress progress_from_json(const Json& json) {
  Progress progress;
  progress.epoch = natural(json.at("epoch"));
  progress.step = natural(json.at("step"));
  progress.step_in_epoch = natural(json.at("step_in_epoch"));
  progress.sums = {exact_number(json.at("loss_sum")), natural(json.at("correct")),
                   natural(json.at("samples"))};
  progress.validation = metrics_from_json(json.at("validation"));
  progress.epoch_seconds = exact_number(json.at("epoch_seconds"));
  progress.seconds = exact_number(json.at("seconds"));
  progress.stop = json.at("stop").get<bool>();
  progress.stop_reason = json.at("stop_reason").get<std::string>();
  return progress;
}

Json optimizer_to_json(const Optimizer& optimizer) {
  return {{"steps", optimizer.steps()}, {"learning_rate", exact_text(double{optimizer.learning_rate()})}};
}

Json random_states(const layers::Module& model) {
  Json result = Json::object();
  for (const auto& [name, rng] : model.rngs()) {
    const Rng::State state = rng->state();
    result[name] = {state.seed, state.stream, state.position};
  }
  return result;
}

void restore_random(const layers::Module& model, const Json& json) {
  const auto rngs = model.rngs();
  check(json.size() == rngs.size(), "there are {} random states, the model has {}", json.size(), rngs.size());
  for (const auto& [name, rng] : rngs) {
    const Json& state = json.at(name);
    *rng = Rng(Rng::State{state.at(0).get<std::uint64_t>(), state.at(1).get<std::uint64_t>(),
                          state.at(2).get<std::uint64_t>()});
  }
}

Json callback_states(const std::vector<std::unique_ptr<Callback>>& callbacks) {
  Json result = Json::object();
  for (const auto& callback : callbacks)
    if (const std::string name = callback->state_name(); !name.empty()) result[name] = callback->state();
  return result;
}

void restore_callbacks(const std::vector<std::unique_ptr<Callback>>& callbacks, const Json& json) {
  for (const auto& callback : callbacks)
    if (const std::string name = callback->state_name(); !name.empty())
      callback->restore(json.at(name).get<std::string>());
}

void check_fingerprint(const Fingerprint& own, const Json& json) {
  std::map<std::string, std::string> saved{{"precision", "f32"}};  // before there was a choice
  for (const Json& pair : json) saved[pair.at(0).get<std::string>()] = pair.at(1).get<std::string>();
  std::string differences;
  for (const auto& [name, value] : own) {
    const auto found = saved.find(name);
    const std::string_view there = found == saved.end() ? std::string_view("nothing") : found->second;
    if (there != value)
      differences +=
          fmt::format("{}{} is {} there, {} here", differences.empty() ? "" : "; ", name, there, value);
  }
  check(differences.empty(),
        "it belongs to another run: {}. Give another checkpoint path or delete it to start anew",
        differences);
}

std::vector<layers::NamedTensor> with_prefix(const std::vector<layers::NamedTensor>& tensors,
                                             std::string_view prefix) {
  std::vector<layers::NamedTensor> result;
  for (const auto& [name, tensor] : tensors)
    if (name.starts_with(prefix)) result.push_back({name.substr(prefix.size()), tensor});
  return result;
}

Progress restore(const Resumable& run, const layers::Checkpoint& checkpoint) {
  const auto text = [&](const char* key) -> const std::string& {
    const auto found = checkpoint.metadata.find(key);
    check(found != checkpoint.metadata.end(), "it is not a training checkpoint: there is no '{}' in it", key);
    return found->second;
  };
  const std::string& version = text("lathe_training");
  check(version == kVersion, "its layout has version {}, this program reads {}", version, kVersion);
  check_fingerprint(run.fingerprint, Json::parse(text("fingerprint")));
  Progress progress = progress_from_json(Json::parse(text("progress")));
  const Json optimizer = Json::parse(text("optimizer"));
  const Json random = Json::parse(text("random"));
  const Json callbacks = Json::parse(text("callbacks"));

  layers::load_weights(run.model, with_prefix(checkpoint.tensors, kModel));
  run.optimizer.restore(with_prefix(checkpoint.tensors, kOptimizer), natural(optimizer.at("steps")));
  run.optimizer.set_learning_rate(static_cast<float>(exact_number(optimizer.at("learning_rate"))));
  restore_random(run.model, random);
  restore_callbacks(run.callbacks, callbacks);
  return progress;
}

}  // namespace

void save_training(const Resumable& run, const Progress& progress, const std::filesystem::path& path) {
  layers::Checkpoint checkpoint;
  for (const auto& [name, tensor] : layers::weights(run.model))
    checkpoint.tensors.push_back({std::string(kModel) + name, tensor});
  for (const auto& [name, tensor] : run.optimizer.state())
    checkpoint.tensors.push_back({std::string(kOptimizer) + name, tensor});
  try {
    checkpoint.metadata = {
        {"lathe_training", std::string(kVersion)},   {"fingerprint", Json(run.fingerprint).dump()},
        {"progress", to_json(progress).dump()},      {"optimizer", optimizer_to_json(run.optimizer).dump()},
        {"random", random_states(run.model).dump()}, {"callbacks", callback_states(run.callbacks).dump()}};
    if (!run.model_name.empty()) checkpoint.metadata["model"] = run.model_name;
  } catch (const Json::exception& error) {
    fail("cannot write checkpoint {}: {}", path.string(), error.what());
  }
  layers::save_safetensors(checkpoint, path);
}

Progress load_training(const Resumable& run, const std::filesystem::path& path) {
  const layers::Checkpoint checkpoint = layers::load_safetensors(path);
  try {
    return restore(run, checkpoint);
  } catch (const Json::exception& error) {
    fail("cannot go on from checkpoint {}: its metadata is broken ({})", path.string(), error.what());
  } catch (const Error& error) {
    fail("cannot go on from checkpoint {}: {}", path.string(), error.what());
  }
}

layers::Checkpoint load_model_weights(const std::filesystem::path& path) {
  layers::Checkpoint checkpoint = layers::load_safetensors(path);
  if (checkpoint.metadata.contains("lathe_training"))
    checkpoint.tensors = with_prefix(checkpoint.tensors, kModel);
  return checkpoint;
}

}  // namespace lathe::optim
