#include "zoo.h"

#include <lathe/base/error.h>
#include <lathe/compress/batch_norm.h>
#include <lathe/compress/calibrate.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/trace.h>
#include <lathe/core/ops.h>
#include <lathe/datasets/augment.h>
#include <lathe/datasets/folder.h>
#include <lathe/datasets/loader.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>
#include <lathe/layers/pretrained.h>
#include <lathe/optim/optimizer.h>

#include <algorithm>
#include <array>

namespace lathe::experiments {
namespace {

constexpr std::int64_t kBatch = 2;         // of training steps: their memory is what is largest
constexpr float kQatLearningRate = 1e-6f;  // the ranges are what moves

constexpr ZooNetwork kZoo[] = {
    {"mobilenet_v1", "MobileNetV1 1.0, 224", layers::mobilenet_v1},
    {"mobilenet_v2", "MobileNetV2 1.0, 224", layers::mobilenet_v2},
    {"inception_v3", "Inception V3, 299", layers::inception_v3},
    {"resnet_v2_101", "ResNet V2 101, 299", layers::resnet_v2_101},
};

/// A model and what its variants are made from.
class Deployment {
 public:
  Deployment(const ZooNetwork& network, const datasets::Named& data, const ZooOptions& options)
      : network_(network),
        data_(data),
        options_(options),
        input_(zoo_input(network)),
        loader_(data.train, {.batch = kBatch, .shuffle = true, .seed = options.seed}) {
    const bool random = options.weights.empty();
    const int classes = random ? kZooClasses : classes_of_weights(options.weights);
    if (options.accuracy) {
      const std::size_t labels = data.test->classes().size();
      check(static_cast<std::size_t>(classes) == labels, "{}: weights for {} classes, {} has {}",
            options.weights, classes, data.name, labels);
    }
    say("weights");
    model_ = network.make(classes);
    model_->reset(Rng(options.seed));
    const std::int64_t batches = (options.images + kBatch - 1) / kBatch;
    if (random)
      compress::re_estimate_batch_norm(*model_, loader_, {.batches = batches});
    else
      layers::load_pretrained(*model_, network.model, options.weights);
    auto epoch = loader_.epoch(0);
    for (std::int64_t i = 0; i < batches; ++i)
      if (auto batch = epoch.next()) calibration_.push_back(batch->images);
    real_ = compress::export_float(*model_, input_);
  }

  std::vector<ZooResult> measure() {
    std::vector<ZooResult> results;
    std::vector<runtime::Plan> plans;
    // Quantizers stay on the model: they come last.
    for (const std::string_view name : zoo_variants()) {
      const std::string variant(name);
      if (std::ranges::find(options_.variants, variant) == options_.variants.end()) continue;
      ZooResult& result = results.emplace_back(
          ZooResult{.model = std::string(network_.model), .variant = variant, .parameters = parameters()});
      say(variant);
      const graph::Graph graph = variant == "float" ? real_ : variant == "int8" ? after_training() : aware();
      result.bytes = static_cast<std::int64_t>(graph::encode(graph).size());
      runtime::Plan& plan = plans.emplace_back(graph);
      std::ranges::copy(calibration_[0].span<float>().first(plan.input<float>().size()),
                        plan.input<float>().begin());
      result.arena_bytes = plan.arena_bytes();
      if (!options_.accuracy) continue;
      say(variant + " accuracy");
      result.accuracy = accuracy(predict(graph, *data_.test), *data_.test);
    }
    say("latency");
    const std::vector<Latency> latencies = measure_in_turns(plans, options_.runs);
    for (std::size_t i = 0; i < results.size(); ++i) results[i].latency = latencies[i];
    return results;
  }

 private:
  /// Numbers in the float graph.
  std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const graph::Value& value : real_.values())
      if (value.is_constant()) count += value.shape.size();
    return count;
  }

  void say(const std::string& what) const {
    if (options_.progress) options_.progress(what);
  }

  graph::Graph after_training() const {
    const auto ranges =
        compress::calibrate(real_, calibration_, {.estimator = compress::Estimator::mean_squared_error});
    return compress::quantize(real_, ranges);
  }

  graph::Graph aware() {
    const auto quantization = compress::quantize_aware(*model_, input_, calibration_);
    optim::Adam optimizer(model_->parameters(), {.learning_rate = kQatLearningRate});
    model_->train();
    std::int64_t step = 0;
    for (std::int64_t number = 0; step < options_.qat_steps; ++number) {
      auto epoch = loader_.epoch(number);
      for (auto batch = epoch.next(); batch && step < options_.qat_steps; batch = epoch.next(), ++step) {
        quantization->update(step, options_.qat_steps);
        optimizer.clear_grads();
        cross_entropy((*model_)(batch->images), batch->labels).backward();
        optimizer.step();
      }
    }
    quantization->settle();
    model_->eval();
    return compress::export_quantized(*model_, input_);
  }

  const ZooNetwork& network_;
  const datasets::Named& data_;
  const ZooOptions& options_;
  Shape input_;
  datasets::DataLoader loader_;
  std::unique_ptr<layers::Module> model_;
  std::vector<Tensor> calibration_;
  graph::Graph real_;
};

}  // namespace

std::span<const ZooNetwork> zoo() { return kZoo; }

const ZooNetwork& find_zoo_network(std::string_view model) {
  std::string names;
  for (const ZooNetwork& network : kZoo) {
    if (network.model == model) return network;
    names += (names.empty() ? "" : ", ") + std::string(network.model);
  }
  fail("there is no network '{}' in the zoo; there are: {}", model, names);
}

Shape zoo_input(const ZooNetwork& network) { return layers::find_model(network.model).input; }

std::span<const std::string_view> zoo_variants() {
  static constexpr std::array<std::string_view, 3> kVariants{"float", "int8", "qat"};
  return kVariants;
}

int classes_of_weights(const std::string& weights) {
  const layers::Checkpoint checkpoint = layers::load_safetensors(weights);
  for (const layers::NamedTensor& named : checkpoint.tensors)
    if (named.name.starts_with("classifier.") && named.name.ends_with("weight") &&
        named.tensor.shape().rank() == 2)
      return static_cast<int>(named.tensor.shape()[0]);
  fail("{}: there is no classifier in it, a tensor 'classifier.*weight' [classes,features]", weights);
}

datasets::Named zoo_images(const std::string& dataset, const std::filesystem::path& root,
                           const Shape& input) {
  datasets::Named data = datasets::open(dataset, root, {.image = {input[1], input[2], input[3]}});
  const Shape given = data.train->image_shape();
  check(given[2] == input[3], "{}: images of {}, the networks take {}", dataset, to_string(given),
        to_string(input));
  if (given[0] == input[1] && given[1] == input[2]) return data;
  // All of the image, always.
  const auto resized = [&](const datasets::DatasetPtr& part) {
    return datasets::map(
        part, datasets::random_resized_crop(input[1], input[2], {.least_area = 1, .most_aspect = 1}));
  };
  data.train = resized(data.train), data.test = resized(data.test);
  return data;
}

std::vector<ZooResult> measure_network(const ZooNetwork& network, const datasets::Named& data,
                                       const ZooOptions& options) {
  return Deployment(network, data, options).measure();
}

}  // namespace lathe::experiments
