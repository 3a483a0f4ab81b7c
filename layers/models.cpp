#include <lathe/layers/image_models.h>
#include <lathe/layers/models.h>

#include <array>

namespace lathe::layers {
namespace {

/// Convolution, 3x3 pooling by 2 and a linear layer: the smallest model that is clearly better than a linear
/// one.
std::unique_ptr<Module> make_tutorial() {
  auto model = std::make_unique<Sequential>();
  model->add<Conv2d>("conv", {.in = 1, .out = 12, .kernel = 3, .activation = Activation::relu});
  model->add<MaxPool2d>("pool");
  model->add<Flatten>("flatten");
  model->add<Linear>("linear", {.in = 13 * 13 * 12, .out = 10});
  return model;
}

std::unique_ptr<Module> make_conv() {
  auto model = std::make_unique<Sequential>();
  model->add<Conv2d>("conv1", {.in = 1, .out = 32, .kernel = 3, .activation = Activation::relu});
  model->add<MaxPool2d>("pool1");
  model->add<Conv2d>("conv2", {.in = 32, .out = 64, .kernel = 3, .activation = Activation::relu});
  model->add<MaxPool2d>("pool2");
  model->add<Flatten>("flatten");
  model->add<Dropout>("dropout", {.rate = 0.5f});
  model->add<Linear>("linear", {.in = 5 * 5 * 64, .out = 10});
  return model;
}

/// Depthwise separable convolutions (Howard et al. 2017, MobileNets) with batch norm after each.
std::unique_ptr<Module> make_dscnn() {
  auto model = std::make_unique<Sequential>();
  // Momentum 0.9 instead of Keras' 0.99: the moving statistics keep up with a training of few steps.
  const auto normalise = [&](const std::string& name, int channels) {
    model->add<BatchNorm2d>(name + "_bn",
                            {.channels = channels, .momentum = 0.9f, .activation = Activation::relu});
  };
  const auto pointwise = [&](const std::string& name, int in, int out) {
    model->add<Conv2d>(name, {.in = in, .out = out, .kernel = 1, .padding = Padding::same(), .bias = false});
    normalise(name, out);
  };
  const auto depthwise = [&](const std::string& name, int channels, int stride) {
    model->add<DepthwiseConv2d>(
        name,
        {.channels = channels, .kernel = 3, .stride = stride, .padding = Padding::same(), .bias = false});
    normalise(name, channels);
  };
  model->add<Conv2d>(
      "stem", {.in = 1, .out = 12, .kernel = 3, .stride = 2, .padding = Padding::same(), .bias = false});
  normalise("stem", 12);
  depthwise("depthwise1", 12, 1);
  pointwise("pointwise1", 12, 16);
  depthwise("depthwise2", 16, 2);
  pointwise("pointwise2", 16, 24);
  model->add<GlobalAvgPool>("pool");
  model->add<Linear>("linear", {.in = 24, .out = 10});
  return model;
}

}  // namespace

std::span<const ModelInfo> models() {
  static const std::array kModels = {
      ModelInfo{"tutorial", "one convolution and a linear layer", {1, 28, 28, 1}, 10, make_tutorial},
      ModelInfo{"conv", "two convolutions with max pooling", {1, 28, 28, 1}, 10, make_conv},
      ModelInfo{"dscnn", "depthwise separable convolutions with batch norm", {1, 28, 28, 1}, 10, make_dscnn},
      ModelInfo{"small_cnn",
                "five convolutions with batch norm, for photos",
                {1, 128, 128, 3},
                2,
                [] { return small_cnn(2); }},
      ModelInfo{"mobilenet_v2",
                "MobileNetV2 1.0 with batch norm folded",
                {1, 224, 224, 3},
                2,
                [] { return mobilenet_v2(2); }},
      ModelInfo{"efficientnet_b0",
                "EfficientNet-B0 with a head of three layers",
                {1, 224, 224, 3},
                2,
                [] { return efficientnet_b0(2); }},
      ModelInfo{"mobilenet_v1",
                "MobileNetV1 1.0, depthwise separable convolutions",
                {1, 224, 224, 3},
                2,
                [] { return mobilenet_v1(2); }},
      ModelInfo{"resnet_v2_101",
                "ResNet V2 101, batch norm before each layer",
                {1, 299, 299, 3},
                2,
                [] { return resnet_v2_101(2); }},
      ModelInfo{"inception_v3",
                "Inception V3, branches of rectangular kernels",
                {1, 299, 299, 3},
                2,
                [] { return inception_v3(2); }},
  };
  return kModels;
}

const ModelInfo& find_model(std::string_view name) {
  std::string names;
  for (const ModelInfo& model : models()) {
    if (model.name == name) return model;
    names += names.empty() ? "" : ", ";
    names += model.name;
  }
  fail("there is no model '{}'; there are: {}", name, names);
}

}  // namespace lathe::layers
