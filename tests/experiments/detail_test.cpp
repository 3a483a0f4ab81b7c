#include "detail.h"
#include "layer_history.h"

#include "support/errors.h"
#include "support/temporary_folder.h"

#include <lathe/layers/layers.h>
#include <lathe/optim/optimizer.h>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

using namespace lathe;
using namespace lathe::experiments;

namespace {

/// Images of no content with the labels 0, 1, 2, 0, 1, 2...
class Labels : public datasets::Dataset {
 public:
  explicit Labels(std::size_t classes) : classes_(classes, "a class") {}
  std::int64_t size() const override { return 6; }
  Shape image_shape() const override { return {1, 1, 1}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override { return static_cast<std::int32_t>(index % 3); }
  void read(std::int64_t, std::span<float> out, const Rng&) const override { out[0] = 0; }

 private:
  std::vector<std::string> classes_;
};

}  // namespace

TEST_CASE("a confusion matrix counts predictions by label") {
  const std::vector<std::int32_t> predictions = {0, 1, 2, 1, 1, 0};
  const auto matrix = confusion_matrix(predictions, Labels(3));
  CHECK(matrix.dump() == "[[1,1,0],[0,2,0],[1,0,1]]");
}

TEST_CASE("a confusion matrix has room for a class that only the model knows") {
  const std::vector<std::int32_t> predictions = {0, 1, 2, 4, 1, 2};
  const auto matrix = confusion_matrix(predictions, Labels(3));
  CHECK(matrix.size() == 5);
  CHECK(matrix[0][4] == 1);
}

TEST_CASE("there is no confusion matrix of more than a hundred classes") {
  const std::vector<std::int32_t> predictions(6);
  CHECK(confusion_matrix(predictions, Labels(101)).is_null());
}

TEST_CASE("a weight histogram has zero in the middle of a bin and leaves out what is not finite") {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0, 0, 0.4f, -0.4f, 0.6f, -1, nan, infinity};
  const auto histogram = weight_histogram(values, 1);
  CHECK(histogram["first"] == -1);
  CHECK(histogram["counts"].dump() == "[1,4,1]");
  CHECK(weight_histogram(values)["width"].get<double>() == doctest::Approx(1.0 / 40));
}

TEST_CASE("a weight histogram of zeros, of nothing and of far values stays small") {
  CHECK(weight_histogram(std::vector<float>(3))["counts"].dump() == "[3]");
  CHECK(weight_histogram({})["counts"].empty());
  CHECK(weight_histogram(std::vector<float>{1e9f, -1e9f}, 0.1)["counts"].size() == 401);
}

TEST_CASE("the history of layers refuses a state that is not its own") {
  LayerHistory history("nowhere.json");
  CHECK_ERROR(history.restore("{"), "history of layers is damaged");
  CHECK_ERROR(history.restore("{\"weights\": 3}"), "history of layers is damaged");
  CHECK_ERROR(history.restore("{\"weights\": []}"), "history of layers is damaged");
  const std::string whole = R"({"steps":[],"loss":[],"unsampled":{"steps":0,"loss":0.0},"weights":[]})";
  for (const char* damaged : {R"({"steps":3,"loss":[],"unsampled":{"steps":0,"loss":0.0},"weights":[]})",
                              R"({"steps":[],"loss":[],"unsampled":3,"weights":[]})",
                              R"({"steps":[],"loss":[],"unsampled":{"steps":"x","loss":0.0},"weights":[]})",
                              R"({"steps":[],"loss":[],"unsampled":{"steps":0,"loss":0.0},"weights":[3]})"})
    CHECK_ERROR(history.restore(damaged), "history of layers is damaged");
  history.restore(whole);
  CHECK(history.state() == whole);
}

TEST_CASE("the history of layers has the mean loss of the steps between two samples") {
  const TemporaryFolder folder;
  layers::Linear model({.in = 3, .out = 2});
  optim::Sgd optimizer(model.parameters(), {});
  optim::TrainState state{.model = model, .optimizer = optimizer, .epochs = 1, .steps_per_epoch = 100};
  LayerHistory history(folder / "layers.json");
  history.fit_begin(state);
  for (int step = 0; step < 100; ++step) {
    state.step = step, state.step_loss = step;
    history.step_end(state);
  }
  const auto record = nlohmann::json::parse(history.state());
  REQUIRE(record["loss"].size() == 51);
  CHECK(record["steps"].size() == 51);
  CHECK(record["loss"][0].is_null());
  CHECK(record["loss"][1] == 0.5);
  CHECK(record["loss"][50] == 98.5);
}
