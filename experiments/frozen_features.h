#pragma once

#include <lathe/datasets/dataset.h>
#include <lathe/layers/image_models.h>

#include <memory>

namespace lathe::experiments {

/// What the frozen part of a model makes of each image, [1,1,C]: computed once, when the first one is read,
/// in evaluation mode. The model must outlive it.
datasets::DatasetPtr frozen_features(datasets::DatasetPtr images, layers::ImageClassifier& model);

/// The head of a model as a module that takes [N,1,1,C]; its parameters keep their names. The model must
/// outlive it.
std::unique_ptr<layers::Module> head_alone(layers::ImageClassifier& model);

}  // namespace lathe::experiments
