#include "layer_history.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/compress/cluster.h>
#include <lathe/core/autograd.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace lathe::experiments {
namespace {

std::vector<layers::NamedParameter> weight_tensors(const layers::Module& model) {
  std::vector<layers::NamedParameter> result;
  for (auto& named : model.parameters())
    if (named.parameter.master().shape().rank() >= 2 && named.name.ends_with(".weight"))
      result.push_back(std::move(named));
  return result;
}

}  // namespace

std::vector<std::pair<std::string, Tensor>> weights_in_use(layers::Module& model) {
  const NoGrad no_grad;
  const layers::EvalMode eval(model);
  std::vector<std::pair<std::string, Tensor>> result;
  for (const auto& [name, parameter] : weight_tensors(model)) result.emplace_back(name, parameter.value());
  return result;
}

double share_of_zeros(const Tensor& weight) {
  const auto zeros = std::ranges::count(weight.span<float>(), 0.0f);
  return static_cast<double>(zeros) / static_cast<double>(weight.size());
}

nlohmann::ordered_json weight_histogram(std::span<const float> values, double width) {
  constexpr std::int64_t kMost = 200;
  if (width <= 0) {
    float largest = 0;
    for (float value : values)
      if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
    width = largest > 0 ? static_cast<double>(largest) / 40 : 1;
  }
  std::map<std::int64_t, std::int64_t> bins;
  for (float value : values)
    if (std::isfinite(value)) {
      const double bin = std::clamp(static_cast<double>(value) / width, -double{kMost}, double{kMost});
      ++bins[std::lround(bin)];
    }
  const std::int64_t first = bins.empty() ? 0 : bins.begin()->first;
  std::vector<std::int64_t> counts(bins.empty() ? 0
                                                : static_cast<std::size_t>(bins.rbegin()->first - first + 1));
  for (const auto& [bin, count] : bins) counts[static_cast<std::size_t>(bin - first)] = count;
  return {{"width", width}, {"first", first}, {"counts", counts}};
}

void LayerHistory::restore(const std::string& state) try {
  using List = nlohmann::ordered_json::array_t;
  record_ = nlohmann::ordered_json::parse(state);
  for (const char* list : {"steps", "loss", "weights"}) record_.at(list).get_ref<const List&>();
  for (const auto& weight : record_["weights"]) {
    for (const char* list : {"sparsity", "values"}) weight.at(list).get_ref<const List&>();
    weight.at("name").get_ref<const std::string&>();
    weight.at("before").at("width").get<double>();
  }
  record_.at("unsampled").at("steps").get<std::int64_t>();
  record_["unsampled"].at("loss").get<double>();
} catch (const nlohmann::json::exception&) {
  fail("the checkpoint's history of layers is damaged or of another version");
}

void LayerHistory::fit_begin(optim::TrainState& state) {
  if (state.step > 0 && record_.is_object()) return;
  record_ = {{"steps_per_epoch", state.steps_per_epoch},
             {"steps", nlohmann::ordered_json::array()},
             {"loss", nlohmann::ordered_json::array()},
             {"unsampled", {{"steps", 0}, {"loss", 0.0}}},
             {"weights", nlohmann::ordered_json::array()}};
  for (const auto& [name, parameter] : weight_tensors(state.model)) {
    std::vector<std::int64_t> shape;
    for (std::int64_t size : parameter.master().shape().dims()) shape.push_back(size);
    record_["weights"].push_back({{"name", name},
                                  {"shape", shape},
                                  {"sparsity", nlohmann::ordered_json::array()},
                                  {"values", nlohmann::ordered_json::array()},
                                  {"before", weight_histogram(parameter.master().span<float>())}});
  }
  if (state.step == 0) sample(state, 0);
}

void LayerHistory::step_end(optim::TrainState& state) {
  const std::int64_t step = state.step + 1;
  auto& unsampled = record_["unsampled"];
  unsampled["steps"] = unsampled["steps"].get<std::int64_t>() + 1;
  unsampled["loss"] = unsampled["loss"].get<double>() + state.step_loss;
  const std::int64_t every = std::max<std::int64_t>(1, state.epochs * state.steps_per_epoch / kSamples);
  if (step % every == 0) sample(state, step);
}

void LayerHistory::epoch_end(optim::TrainState& state) {
  for (const auto& [name, value] : weights_in_use(state.model))
    for (auto& weight : record_["weights"])
      if (weight["name"] == name)
        weight["after"] = weight_histogram(value.span<float>(), weight["before"]["width"].get<double>());
  write_file(path_, record_.dump() + "\n");
}

void LayerHistory::sample(optim::TrainState& state, std::int64_t step) {
  record_["steps"].push_back(step);
  auto& unsampled = record_["unsampled"];
  const auto steps = unsampled["steps"].get<std::int64_t>();
  record_["loss"].push_back(
      steps > 0 ? nlohmann::ordered_json(unsampled["loss"].get<double>() / static_cast<double>(steps))
                : nullptr);
  unsampled = {{"steps", 0}, {"loss", 0.0}};
  for (const auto& [name, value] : weights_in_use(state.model))
    for (auto& weight : record_["weights"])
      if (weight["name"] == name) {
        weight["sparsity"].push_back(share_of_zeros(value));
        weight["values"].push_back(compress::count_unique(value.span<float>()));
      }
}

}  // namespace lathe::experiments
