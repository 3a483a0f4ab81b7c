#include "frozen_features.h"

#include <lathe/core/autograd.h>
#include <lathe/datasets/loader.h>
#include <lathe/datasets/synthetic_shapes.h>

#include <doctest/doctest.h>

using namespace lathe;

TEST_CASE("the head on features that are computed once gives what the whole model gives") {
  const auto model = layers::small_cnn(2);
  model->reset(Rng(1));
  auto& classifier = dynamic_cast<layers::ImageClassifier&>(*model);
  const datasets::DatasetPtr images = datasets::synthetic_shapes(21, 1, {32, 32, 3});
  const datasets::DatasetPtr features = experiments::frozen_features(images, classifier);
  CHECK(features->image_shape() == Shape{1, 1, 256});
  CHECK(features->size() == 21);
  CHECK(features->label(4) == images->label(4));
  CHECK(features->classes() == images->classes());

  const auto head = experiments::head_alone(classifier);
  REQUIRE(head->parameters().size() == 2);
  CHECK(head->parameters()[0].name == "classifier.linear.weight");
  const NoGrad no_grad;
  model->eval();
  head->eval();
  const datasets::DataLoader whole(images, {.batch = 7}), part(features, {.batch = 7});
  auto a = whole.epoch(0), b = part.epoch(0);
  while (auto batch = a.next()) {
    const Tensor expected = (*model)(batch->images), given = (*head)(b.next()->images);
    for (std::size_t i = 0; i < expected.span<float>().size(); ++i)
      CHECK(given.span<float>()[i] == doctest::Approx(expected.span<float>()[i]).epsilon(1e-4));
  }
  CHECK_FALSE(model->training());
}
