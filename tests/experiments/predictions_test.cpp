#include "predictions.h"

#include <lathe/compress/trace.h>
#include <lathe/layers/layers.h>

#include <doctest/doctest.h>

#include <cmath>

using namespace lathe;
using namespace lathe::experiments;

namespace {

/// Images of one colour: the class is the channel that is set, but every fifth image lies.
class Colours : public datasets::Dataset {
 public:
  std::int64_t size() const override { return 30; }
  Shape image_shape() const override { return {2, 3, 3}; }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int32_t label(std::int64_t index) const override {
    return static_cast<std::int32_t>((colour(index) + (index % 5 == 0)) % 3);
  }
  void read(std::int64_t index, std::span<float> out, const Rng&) const override {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] =
          static_cast<std::int64_t>(i % 3) == colour(index) ? 0.5f + 0.01f * static_cast<float>(index) : 0;
  }

 private:
  static std::int64_t colour(std::int64_t index) { return index % 3; }
  std::vector<std::string> classes_ = {"red", "green", "it's"};
};

/// Its outputs are the means of the channels.
graph::Graph mean_of_channels() {
  layers::Sequential model;
  model.add<layers::GlobalAvgPool>("pool");
  model.eval();
  return compress::export_float(model, {1, 2, 3, 3});
}

}  // namespace

TEST_CASE("predictions: a sample that is always the same, and all mistakes, the most confident first") {
  const Colours images;
  const graph::Graph graph = mean_of_channels();
  const Predictions seen = look_at_predictions(graph, images, 10);
  REQUIRE(seen.sample.size() == 10);
  const Predictions again = look_at_predictions(graph, images, 10);
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK(seen.sample[i].index == again.sample[i].index);
    CHECK(seen.sample[i].predicted == seen.sample[i].index % 3);
  }
  REQUIRE(seen.mistakes.size() == 6);  // 0, 5, 10 ... and the later ones are brighter
  for (std::size_t i = 0; i < 6; ++i) CHECK(seen.mistakes[i].index == 25 - 5 * static_cast<std::int64_t>(i));
  // softmax of (0.75, 0, 0)
  CHECK(seen.mistakes[0].confidence == doctest::Approx(std::exp(0.75) / (std::exp(0.75) + 2)));
  CHECK(look_at_predictions(graph, images, 100).sample.size() == 30);
  CHECK(look_at_predictions(graph, images, 0).sample.empty());
}

TEST_CASE("predictions: a sheet has a picture and a line for each") {
  const Colours images;
  const std::vector<Prediction> given = {{.index = 1, .predicted = 1, .confidence = 0.987f},
                                         {.index = 5, .predicted = 2, .confidence = 0.5f}};
  const Figure sheet = prediction_sheet("sheet", "What is seen", given, images);
  CHECK(sheet.data.size() == 2 * 96 * 96 * 3);
  for (const std::size_t channel : {0, 1, 2})
    CHECK(static_cast<unsigned char>(sheet.data[channel]) == (channel == 1 ? 130 : 0));
  CHECK(sheet.script.find("set label 'green 99 %'") != std::string::npos);
  CHECK(sheet.script.find("set label 'red → it’s 50 %'") != std::string::npos);
  CHECK(sheet.script.find("skip=27648") != std::string::npos);
}
