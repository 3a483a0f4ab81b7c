#include "normed_layers.h"

namespace lathe::layers {
namespace {

struct Extents {
  int height, width;
};

/// One way through a block: convolutions with batch norm and relu, one after the other.
class Way {
 public:
  explicit Way(int in) : layers_(*way_, {.activation = Activation::relu, .scale = false}), channels_(in) {}

  Way& conv(int out, Extents kernel, int stride = 1, Padding padding = Padding::same()) {
    layers_.conv("conv" + std::to_string(++next_), {.in = channels_,
                                                    .out = out,
                                                    .kernel = kernel.height,
                                                    .stride = stride,
                                                    .padding = padding,
                                                    .kernel_w = kernel.width});
    channels_ = out;
    return *this;
  }
  /// Halves the image.
  Way& conv_down(int out) { return conv(out, {3, 3}, 2, Padding::valid()); }
  Way& average() {
    way_->add<AvgPool2d>("pool", {.kernel = 3, .stride = 1, .padding = Padding::same()});
    return *this;
  }
  Way& max_down() {
    way_->add<MaxPool2d>("pool" + std::to_string(++next_), {.kernel = 3, .stride = 2});
    return *this;
  }
  /// 1x3 and 3x1 beside each other, of `out` channels each.
  Way& conv_cross(int out) {
    auto cross = std::make_unique<Branches>();
    cross->append("wide", Way(channels_).conv(out, {1, 3}).take());
    cross->append("high", Way(channels_).conv(out, {3, 1}).take());
    way_->append("cross", std::move(cross));
    return *this;
  }
  std::unique_ptr<Sequential> take() { return std::move(way_); }

 private:
  std::unique_ptr<Sequential> way_ = std::make_unique<Sequential>();
  NormedLayers layers_;
  int channels_, next_ = 0;
};

/// At 35x35.
std::unique_ptr<Branches> block_a(int in, int pooled) {
  auto block = std::make_unique<Branches>();
  block->append("one", Way(in).conv(64, {1, 1}).take());
  block->append("five", Way(in).conv(48, {1, 1}).conv(64, {5, 5}).take());
  block->append("three", Way(in).conv(64, {1, 1}).conv(96, {3, 3}).conv(96, {3, 3}).take());
  block->append("pooled", Way(in).average().conv(pooled, {1, 1}).take());
  return block;
}

/// From 35x35 to 17x17.
std::unique_ptr<Branches> reduction_a(int in) {
  auto block = std::make_unique<Branches>();
  block->append("three", Way(in).conv_down(384).take());
  block->append("double", Way(in).conv(64, {1, 1}).conv(96, {3, 3}).conv_down(96).take());
  block->append("pooled", Way(in).max_down().take());
  return block;
}

/// At 17x17: 7x7 as 1x7 and 7x1, `width` channels between them.
std::unique_ptr<Branches> block_b(int in, int width) {
  constexpr int kOut = 192;
  constexpr Extents kWide{1, 7}, kHigh{7, 1};
  auto block = std::make_unique<Branches>();
  block->append("one", Way(in).conv(kOut, {1, 1}).take());
  block->append("seven", Way(in).conv(width, {1, 1}).conv(width, kWide).conv(kOut, kHigh).take());
  block->append("double", Way(in)
                              .conv(width, {1, 1})
                              .conv(width, kHigh)
                              .conv(width, kWide)
                              .conv(width, kHigh)
                              .conv(kOut, kWide)
                              .take());
  block->append("pooled", Way(in).average().conv(kOut, {1, 1}).take());
  return block;
}

/// From 17x17 to 8x8.
std::unique_ptr<Branches> reduction_b(int in) {
  auto block = std::make_unique<Branches>();
  block->append("three", Way(in).conv(192, {1, 1}).conv_down(320).take());
  block->append("seven", Way(in).conv(192, {1, 1}).conv(192, {1, 7}).conv(192, {7, 1}).conv_down(192).take());
  block->append("pooled", Way(in).max_down().take());
  return block;
}

/// At 8x8.
std::unique_ptr<Branches> block_c(int in) {
  auto block = std::make_unique<Branches>();
  block->append("one", Way(in).conv(320, {1, 1}).take());
  block->append("three", Way(in).conv(384, {1, 1}).conv_cross(384).take());
  block->append("double", Way(in).conv(448, {1, 1}).conv(384, {3, 3}).conv_cross(384).take());
  block->append("pooled", Way(in).average().conv(192, {1, 1}).take());
  return block;
}

}  // namespace

void Branches::append(std::string name, std::unique_ptr<Module> branch) {
  check(name != "concat", "Branches: a branch cannot be called concat");
  register_module(std::move(name), *branch);
  branches_.push_back(std::move(branch));
}

Tensor Branches::forward(const Tensor& x) {
  std::vector<Tensor> outputs;
  for (const auto& branch : branches_) outputs.push_back((*branch)(x));
  return concat_(outputs);
}

std::unique_ptr<Module> inception_v3(int classes) {
  auto features = Way(3)
                      .conv(32, {3, 3}, 2, Padding::valid())
                      .conv(32, {3, 3}, 1, Padding::valid())
                      .conv(64, {3, 3})
                      .max_down()
                      .conv(80, {1, 1}, 1, Padding::valid())
                      .conv(192, {3, 3}, 1, Padding::valid())
                      .max_down()
                      .take();
  features->append("mixed0", block_a(192, 32));
  features->append("mixed1", block_a(256, 64));
  features->append("mixed2", block_a(288, 64));
  features->append("mixed3", reduction_a(288));
  features->append("mixed4", block_b(768, 128));
  features->append("mixed5", block_b(768, 160));
  features->append("mixed6", block_b(768, 160));
  features->append("mixed7", block_b(768, 192));
  features->append("mixed8", reduction_b(768));
  features->append("mixed9", block_c(1280));
  features->append("mixed10", block_c(2048));
  return classifier_of(std::move(features), 2048, classes);
}

}  // namespace lathe::layers
