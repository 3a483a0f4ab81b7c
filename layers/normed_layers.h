#pragma once

#include <lathe/layers/image_models.h>

#include <memory>
#include <string>

namespace lathe::layers {

/// Appends convolutions without bias to a Sequential, each with its batch norm behind it, "<name>_bn".
class NormedLayers {
 public:
  /// `norm` is that of all; it gets the channels of each.
  NormedLayers(Sequential& to, const BatchNorm2d::Options& norm) : to_(to), norm_(norm) {}

  NormedLayers& conv(const std::string& name, Conv2d::Options options) {
    options.bias = false;
    to_.add<Conv2d>(name, options);
    return norm(name + "_bn", options.out);
  }
  NormedLayers& depthwise(const std::string& name, DepthwiseConv2d::Options options) {
    options.bias = false;
    to_.add<DepthwiseConv2d>(name, options);
    return norm(name + "_bn", options.channels);
  }
  NormedLayers& norm(const std::string& name, int channels) {
    BatchNorm2d::Options options = norm_;
    options.channels = channels;
    to_.add<BatchNorm2d>(name, options);
    return *this;
  }

 private:
  Sequential& to_;
  BatchNorm2d::Options norm_;
};

/// `features` behind pixels in -1..1, as these networks take them; one linear layer, "classifier.linear".
inline std::unique_ptr<Module> classifier_of(std::unique_ptr<Module> features, int channels, int classes,
                                             float dropout = 0) {
  auto classifier = std::make_unique<Sequential>();
  if (dropout > 0) classifier->add<Dropout>("dropout", {.rate = dropout});
  classifier->add<Linear>("linear", {.in = channels, .out = classes});
  return std::make_unique<ImageClassifier>(
      std::move(features), std::move(classifier),
      NormalizeOptions{.mean = {0.5f, 0.5f, 0.5f}, .deviation = {0.5f, 0.5f, 0.5f}});
}

}  // namespace lathe::layers
