#include "normed_layers.h"

namespace lathe::layers {
namespace {

constexpr BatchNorm2d::Options kNorm{.epsilon = 1.001e-5f, .activation = Activation::relu};
constexpr int kWidening = 4;

/// Blocks of one width. The last one has the stride.
void append_stage(Sequential& features, const std::string& name, int in, int width, int blocks, int stride) {
  for (int i = 1; i <= blocks; ++i) {
    features.append(
        name + "_block" + std::to_string(i),
        std::make_unique<PreactivationBlock>(PreactivationOptions{.in = i == 1 ? in : width * kWidening,
                                                                  .width = width,
                                                                  .out = width * kWidening,
                                                                  .stride = i == blocks ? stride : 1}));
  }
}

}  // namespace

PreactivationBlock::PreactivationBlock(const Options& options)
    : norm_([&] {
        BatchNorm2d::Options norm = kNorm;
        norm.channels = options.in;
        return norm;
      }()) {
  register_module("norm", norm_);
  if (options.in != options.out) {
    projection_ = std::make_unique<Conv2d>(
        Conv2d::Options{.in = options.in, .out = options.out, .kernel = 1, .stride = options.stride});
    register_module("projection", *projection_);
  } else if (options.stride > 1) {
    thinning_ = std::make_unique<MaxPool2d>(MaxPool2d::Options{.kernel = 1, .stride = options.stride});
    register_module("thinning", *thinning_);
  }
  NormedLayers layers(body_, kNorm);
  layers.conv("conv1", {.in = options.in, .out = options.width, .kernel = 1});
  layers.conv("conv2", {.in = options.width,
                        .out = options.width,
                        .kernel = 3,
                        .stride = options.stride,
                        .padding = Padding::symmetric(1)});
  body_.add<Conv2d>("conv3", {.in = options.width, .out = options.out, .kernel = 1});
  register_module("body", body_);
  register_module("add", add_);
}

Tensor PreactivationBlock::forward(const Tensor& x) {
  const Tensor active = norm_(x);
  const Tensor shortcut = projection_ != nullptr ? (*projection_)(active)
                          : thinning_ != nullptr ? (*thinning_)(x)
                                                 : x;
  return add_(body_(active), shortcut);
}

std::unique_ptr<Module> resnet_v2_101(int classes) {
  auto features = std::make_unique<Sequential>();
  features->add<Conv2d>("stem",
                        {.in = 3, .out = 64, .kernel = 7, .stride = 2, .padding = Padding::symmetric(3)});
  features->add<MaxPool2d>("stem_pool", {.kernel = 3, .stride = 2, .padding = Padding::symmetric(1)});
  append_stage(*features, "stage1", 64, 64, 3, 2);
  append_stage(*features, "stage2", 256, 128, 4, 2);
  append_stage(*features, "stage3", 512, 256, 23, 2);
  append_stage(*features, "stage4", 1024, 512, 3, 1);
  constexpr int kFeatures = 2048;
  NormedLayers(*features, kNorm).norm("post_bn", kFeatures);
  return classifier_of(std::move(features), kFeatures, classes);
}

}  // namespace lathe::layers
