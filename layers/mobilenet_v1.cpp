#include "normed_layers.h"

namespace lathe::layers {

std::unique_ptr<Module> mobilenet_v1(int classes) {
  struct Block {
    int out, stride;
  };
  constexpr Block kBlocks[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                               {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
  auto features = std::make_unique<Sequential>();
  NormedLayers layers(*features, {.activation = Activation::relu6});
  int channels = 32, next = 1;
  layers.conv("stem", {.in = 3, .out = channels, .kernel = 3, .stride = 2, .padding = Padding::same()});
  for (const Block& block : kBlocks) {
    const std::string number = std::to_string(next++);
    layers.depthwise("depthwise" + number,
                     {.channels = channels, .kernel = 3, .stride = block.stride, .padding = Padding::same()});
    layers.conv("pointwise" + number, {.in = channels, .out = block.out, .kernel = 1});
    channels = block.out;
  }
  return classifier_of(std::move(features), channels, classes, 0.001f);
}

}  // namespace lathe::layers
