#include "zoo.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "zoo_report.h"

#include <doctest/doctest.h>

#include <lathe/datasets/augment.h>
#include <lathe/layers/checkpoint.h>

#include <algorithm>
#include <cmath>

using namespace lathe;
using namespace lathe::experiments;

namespace {

/// A few generated pictures in the network's size, of two classes.
datasets::Named few_pictures(const ZooNetwork& network) {
  datasets::Named data = zoo_images("synthetic-shapes", {}, zoo_input(network));
  data.train = datasets::take(data.train, 2), data.test = datasets::take(data.test, 3);
  return data;
}

}  // namespace

TEST_CASE("accuracy is measured with the weights of a file, whose classes are those of the photos") {
  const TemporaryFolder folder;
  const ZooNetwork& network = find_zoo_network("mobilenet_v1");
  const datasets::Named data = few_pictures(network);
  REQUIRE(data.test->classes().size() == 2);
  const auto save = [&](int classes) {
    const auto model = network.make(classes);
    for (auto& [name, parameter] : model->parameters())  // what is all alike is encoded fast
      std::ranges::fill(parameter.master().mutable_span<float>(), 0.01f);
    const std::string file = (folder / "weights.safetensors").string();
    layers::save_weights(*model, "mobilenet_v1", file);
    return file;
  };
  ZooOptions options{.variants = {"float"}, .weights = save(2), .runs = 2, .images = 2, .accuracy = true};
  CHECK(classes_of_weights(options.weights) == 2);
  const std::vector<ZooResult> results = measure_network(network, data, options);
  REQUIRE(results.size() == 1);
  REQUIRE(results[0].accuracy.has_value());
  const double right = 3 * *results[0].accuracy;
  CHECK(right == doctest::Approx(std::round(right)));
  CHECK(results[0].latency.runs == 2);
  const Table table = zoo_table(results);
  CHECK(table.rows[0].back() == "70.90");  // as published
  options.weights = save(5);
  CHECK_ERROR(measure_network(network, data, options),
              "weights.safetensors: weights for 5 classes, synthetic-shapes has 2");
}

TEST_CASE("networks and classifiers that are not there are named") {
  const TemporaryFolder folder;
  CHECK_ERROR(
      find_zoo_network("alexnet"),
      "there is no network 'alexnet' in the zoo; there are: mobilenet_v1, mobilenet_v2, inception_v3");
  const std::string file = (folder / "headless.safetensors").string();
  layers::save_safetensors({{{"features.weight", Tensor::zeros({2, 2})}}, {}}, file);
  CHECK_ERROR(classes_of_weights(file), "headless.safetensors: there is no classifier in it");
}
