#pragma once

#include <lathe/optim/trainer.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lathe::experiments {

/// What training does to the loss and to each weight tensor (those of rank 2 and more): at about fifty steps
/// the mean loss of those since the step before, the share of zeros and the number of different values;
/// histograms before the first step and after the last. A JSON file, written at each epoch's end; a resumed
/// run goes on with what was recorded.
class LayerHistory : public optim::Callback {
 public:
  static constexpr std::int64_t kSamples = 50;

  explicit LayerHistory(std::filesystem::path path) : path_(std::move(path)) {}
  void fit_begin(optim::TrainState&) override;
  void epoch_end(optim::TrainState&) override;
  void step_end(optim::TrainState&) override;
  std::string state_name() const override { return "layer_history"; }
  std::string state() const override { return record_.dump(); }
  void restore(const std::string& state) override;

 private:
  void sample(optim::TrainState& state, std::int64_t step);

  std::filesystem::path path_;
  nlohmann::ordered_json record_;
};

/// The weight tensors (those of rank 2 and more) by name, as the forward pass of evaluation sees them.
std::vector<std::pair<std::string, Tensor>> weights_in_use(layers::Module& model);
/// 0..1.
double share_of_zeros(const Tensor& weight);

/// {"width", "first", "counts"}: counts[i] values lie nearest to (first + i) * width; zero is in the middle
/// of a bin. Values beyond 200 bins are counted in the outermost; those that are not finite are left out.
/// `width` = 0: a fortieth of the largest magnitude.
nlohmann::ordered_json weight_histogram(std::span<const float> values, double width = 0);

}  // namespace lathe::experiments
