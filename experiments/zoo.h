#pragma once

#include "measure.h"
#include "published.h"

#include <lathe/datasets/dataset.h>
#include <lathe/layers/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Large networks as they are deployed: file bytes and latency of floats and of integers.
namespace lathe::experiments {

/// A network of the published table, for 1001 classes as there unless its weights say otherwise.
struct ZooNetwork {
  std::string_view model;  ///< its name in layers/models.h
  std::string_view title;
  std::unique_ptr<layers::Module> (*make)(int classes);
};
inline constexpr int kZooClasses = 1001;

/// In the order of the published table.
std::span<const ZooNetwork> zoo();
/// Throws Error with the list of names when there is none of this name.
const ZooNetwork& find_zoo_network(std::string_view model);
/// [1,H,W,3]
Shape zoo_input(const ZooNetwork& network);

/// What is made of a network: "float", "int8" (quantized after training), "qat" (trained with quantizers).
std::span<const std::string_view> zoo_variants();

struct ZooOptions {
  std::vector<std::string> variants = {"float", "int8", "qat"};
  std::string weights;                                         ///< safetensors file; empty: random ones
  std::uint64_t seed = 0;                                      ///< of random weights and of the order of images
  std::int64_t runs = 0;                                       ///< timed; 0: as measure_latency() chooses
  std::int64_t images = 8;                                     ///< for batch norm statistics and ranges
  std::int64_t qat_steps = 2;                                  ///< of training with quantizers
  bool accuracy = false;                                       ///< measure it on the test set
  std::function<void(const std::string& what)> progress = {};  ///< called before each piece of work
};

struct ZooResult {
  std::string model, variant;
  std::int64_t parameters = 0;  ///< numbers in the float graph
  std::int64_t bytes = 0;       ///< of the file
  std::int64_t arena_bytes = 0;
  Latency latency;
  std::optional<double> accuracy;
};

/// The classes that a file of weights is for: rows of its classifier. Throws Error naming the file when there
/// is none.
int classes_of_weights(const std::string& weights);

/// Photos or pictures in the size of a network's input; generated ones are resized.
datasets::Named zoo_images(const std::string& dataset, const std::filesystem::path& root, const Shape& input);

/// Makes, deploys and measures the variants of a network. Statistics of batch norm are measured on images
/// when the weights are random: the activations are then of order one. Throws Error when accuracy is wanted
/// on other classes than those of the weights.
std::vector<ZooResult> measure_network(const ZooNetwork& network, const datasets::Named& data,
                                       const ZooOptions& options);

}  // namespace lathe::experiments
