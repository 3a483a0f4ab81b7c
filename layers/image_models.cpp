#include <lathe/layers/image_models.h>

#include <span>

namespace lathe::layers {
namespace {

/// Makes a Sequential of one convolution, "0", as torchvision wraps them with their activation.
std::unique_ptr<Sequential> wrapped(const Conv2d::Options& options) {
  auto result = std::make_unique<Sequential>();
  result->add<Conv2d>("0", options);
  return result;
}

std::unique_ptr<Sequential> wrapped(const DepthwiseConv2d::Options& options) {
  auto result = std::make_unique<Sequential>();
  result->add<DepthwiseConv2d>("0", options);
  return result;
}

/// A block of MobileNetV2: [widen,] filter each channel, narrow; with a residual where it fits.
std::unique_ptr<Module> bottleneck(int in, int out, int expansion, int stride) {
  const int wide = in * expansion;
  auto conv = std::make_unique<Sequential>();
  int next = 0;
  const auto append = [&](std::unique_ptr<Sequential> part) {
    conv->append(std::to_string(next++), std::move(part));
  };
  if (expansion > 1)
    append(wrapped(Conv2d::Options{.in = in, .out = wide, .kernel = 1, .activation = Activation::relu6}));
  append(wrapped(DepthwiseConv2d::Options{.channels = wide,
                                          .kernel = 3,
                                          .stride = stride,
                                          .padding = Padding::symmetric(1),
                                          .activation = Activation::relu6}));
  conv->add<Conv2d>(std::to_string(next), {.in = wide, .out = out, .kernel = 1});
  if (stride == 1 && in == out) return std::make_unique<Residual>("conv", std::move(conv));
  auto block = std::make_unique<Sequential>();
  block->append("conv", std::move(conv));
  return block;
}

/// Blocks of one kind after each other; the first one has the stride.
struct BlockRow {
  int expansion, kernel, out, repeats, stride;
};

/// Convolution, batch norm, silu of EfficientNet, in a Sequential.
class SiluLayers {
 public:
  explicit SiluLayers(Sequential& to) : to_(to) {}
  void conv(const std::string& name, int in, int out, int kernel, int stride, bool active = true) {
    to_.add<Conv2d>(name + "_conv", {.in = in,
                                     .out = out,
                                     .kernel = kernel,
                                     .stride = stride,
                                     .padding = Padding::same(),
                                     .bias = false});
    finish(name, out, active);
  }
  void depthwise(const std::string& name, int channels, int kernel, int stride) {
    to_.add<DepthwiseConv2d>(name + "_conv", {.channels = channels,
                                              .kernel = kernel,
                                              .stride = stride,
                                              .padding = Padding::same(),
                                              .bias = false});
    finish(name, channels, true);
  }

 private:
  void finish(const std::string& name, int channels, bool active) {
    to_.add<BatchNorm2d>(name + "_bn", {.channels = channels});
    if (active) to_.add<Silu>(name + "_silu");
  }
  Sequential& to_;
};

std::unique_ptr<Module> mb_conv(int in, const BlockRow& row, int stride, float drop_rate) {
  const int wide = in * row.expansion;
  auto body = std::make_unique<Sequential>();
  SiluLayers layers(*body);
  if (row.expansion > 1) layers.conv("expand", in, wide, 1, 1);
  layers.depthwise("depthwise", wide, row.kernel, stride);
  body->add<SqueezeExcite>("se", {.channels = wide, .reduced = in / 4});
  layers.conv("project", wide, row.out, 1, 1, false);
  if (stride == 1 && in == row.out) return std::make_unique<Residual>("body", std::move(body), drop_rate);
  return body;
}

}  // namespace

std::unique_ptr<Module> mobilenet_v2(int classes) {
  constexpr BlockRow kRows[] = {{1, 3, 16, 1, 1}, {6, 3, 24, 2, 2},  {6, 3, 32, 3, 2}, {6, 3, 64, 4, 2},
                                {6, 3, 96, 3, 1}, {6, 3, 160, 3, 2}, {6, 3, 320, 1, 1}};
  auto features = std::make_unique<Sequential>();
  features->append("0", wrapped(Conv2d::Options{.in = 3,
                                                .out = 32,
                                                .kernel = 3,
                                                .stride = 2,
                                                .padding = Padding::symmetric(1),
                                                .activation = Activation::relu6}));
  int channels = 32, next = 1;
  for (const BlockRow& row : kRows)
    for (int i = 0; i < row.repeats; ++i) {
      features->append(std::to_string(next++),
                       bottleneck(channels, row.out, row.expansion, i == 0 ? row.stride : 1));
      channels = row.out;
    }
  constexpr int kFeatures = 1280;
  features->append("18",
                   wrapped(Conv2d::Options{
                       .in = channels, .out = kFeatures, .kernel = 1, .activation = Activation::relu6}));
  auto classifier = std::make_unique<Sequential>();
  classifier->add<Dropout>("0", {.rate = 0.2f});
  classifier->add<Linear>("1", {.in = kFeatures, .out = classes});
  return std::make_unique<ImageClassifier>(std::move(features), std::move(classifier));
}

std::unique_ptr<Module> efficientnet_b0(int classes) {
  constexpr BlockRow kRows[] = {{1, 3, 16, 1, 1},  {6, 3, 24, 2, 2},  {6, 5, 40, 2, 2}, {6, 3, 80, 3, 2},
                                {6, 5, 112, 3, 1}, {6, 5, 192, 4, 2}, {6, 3, 320, 1, 1}};
  constexpr int kBlocks = 16, kStem = 32, kFeatures = 1280;
  constexpr float kDropRate = 0.2f;  // of the last block; the first one's is 0
  auto features = std::make_unique<Sequential>();
  SiluLayers(*features).conv("stem", 3, kStem, 3, 2);
  int channels = kStem, block = 0;
  for (const BlockRow& row : kRows)
    for (int i = 0; i < row.repeats; ++i, ++block) {
      const float rate = kDropRate * static_cast<float>(block) / static_cast<float>(kBlocks);
      features->append("block" + std::to_string(block + 1),
                       mb_conv(channels, row, i == 0 ? row.stride : 1, rate));
      channels = row.out;
    }
  SiluLayers(*features).conv("top", channels, kFeatures, 1, 1);

  auto classifier = std::make_unique<Sequential>();
  classifier->add<Linear>("linear1", {.in = kFeatures, .out = 512, .activation = Activation::relu});
  classifier->add<BatchNorm2d>("bn", {.channels = 512});
  classifier->add<Dropout>("dropout1", {.rate = 0.5f});
  classifier->add<Linear>("linear2", {.in = 512, .out = 64, .activation = Activation::relu});
  classifier->add<Dropout>("dropout2", {.rate = 0.5f});
  classifier->add<Linear>("linear3", {.in = 64, .out = classes});
  return std::make_unique<ImageClassifier>(std::move(features), std::move(classifier));
}

std::unique_ptr<Module> small_cnn(int classes) {
  auto features = std::make_unique<Sequential>();
  const auto conv = [&](const std::string& name, int in, int out, int stride) {
    features->add<Conv2d>(
        name,
        {.in = in, .out = out, .kernel = 3, .stride = stride, .padding = Padding::same(), .bias = false});
    features->add<BatchNorm2d>(name + "_bn",
                               {.channels = out, .momentum = 0.9f, .activation = Activation::relu});
  };
  conv("conv1", 3, 16, 2);
  conv("conv2", 16, 32, 1);
  features->add<MaxPool2d>("pool2");
  conv("conv3", 32, 64, 1);
  features->add<MaxPool2d>("pool3");
  conv("conv4", 64, 128, 1);
  features->add<MaxPool2d>("pool4");
  conv("conv5", 128, 256, 1);
  auto classifier = std::make_unique<Sequential>();
  classifier->add<Dropout>("dropout", {.rate = 0.2f});
  classifier->add<Linear>("linear", {.in = 256, .out = classes});
  return std::make_unique<ImageClassifier>(std::move(features), std::move(classifier));
}

}  // namespace lathe::layers
