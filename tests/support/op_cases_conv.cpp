#include "op_cases.h"

#include "../../core/kernels/reference/clamp.h"
#include "../../core/kernels/reference/conv.h"
#include "../../core/kernels/reference/pool.h"
#include "../../core/ops/common.h"

#include <lathe/core/ops.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace lathe::testing {
namespace {

using graph::Conv2d;
using graph::Padding;

struct Sizes {
  Shape x;       ///< [N,H,W,C]
  Shape weight;  ///< [O,KH,KW,C/g]
};

Plain plain_conv(const Conv2d& op, std::span<const Tensor> inputs, const Tensor& grad) {
  const Tensor &x = inputs[0], &weight = inputs[1];
  const kernels::ConvShape shape = conv_shape(op, x.shape(), weight.shape());
  const bool bias = inputs.size() > 2;
  Plain plain{Tensor::empty({shape.n, shape.out_h, shape.out_w, shape.o}),
              {Tensor::empty(x.shape()), Tensor::empty(weight.shape())}};
  if (bias) plain.grads.push_back(Tensor::empty({shape.o}));
  namespace reference = kernels::reference;
  reference::conv_forward(shape, read(x), read(weight), bias ? read(inputs[2]) : nullptr,
                          write(plain.output));
  reference::clamp(clamp_of(op.activation), plain.output.size(), write(plain.output));
  Tensor masked = Tensor::empty(grad.shape());
  reference::clamp_backward(clamp_of(op.activation), grad.size(), write(plain.output), read(grad),
                            write(masked));
  reference::conv_backward_data(shape, write(masked), read(weight), write(plain.grads[0]));
  reference::conv_backward_weights(shape, read(x), write(masked), write(plain.grads[1]),
                                   bias ? write(plain.grads[2]) : nullptr);
  return plain;
}

Plain plain_pooled(const Conv2d& op, std::span<const Tensor> inputs, const Tensor& grad) {
  const kernels::ConvShape conv = conv_shape(op, inputs[0].shape(), inputs[1].shape());
  const Shape full{conv.n, conv.out_h, conv.out_w, conv.o};
  const kernels::PoolShape pool = pool_shape(graph::MaxPool2d{}, full);
  const Tensor all = plain_conv(op, inputs, Tensor::zeros(full)).output;
  Tensor y = Tensor::empty(grad.shape()), dy = Tensor::empty(full);
  std::vector<std::int32_t> argmax(static_cast<std::size_t>(y.size()));
  kernels::reference::max_pool_forward(pool, read(all), write(y), argmax.data());
  kernels::reference::max_pool_backward(pool, read(grad), argmax.data(), write(dy));
  return {y, plain_conv(op, inputs, dy).grads};
}

enum class Bias { no, yes };

OpCase conv_case(const std::string& name, const Sizes& sizes, const Conv2d& op = {}, Bias bias = Bias::yes) {
  OpCase c;
  c.name = "conv2d/" + name;
  c.op = op;
  c.inputs = [=](Rng& rng) {
    // With an activation, sums stay within +-1 of a bias of -3, 3 or 9: each channel lies clearly on one side
    // of each kink.
    const auto terms = static_cast<float>(sizes.weight.size() / std::max<std::int64_t>(sizes.weight[0], 1));
    const bool kinks = op.activation != Activation::none;
    const float range = kinks ? 1 / terms : 1;
    std::vector<Tensor> inputs{uniform(sizes.x, rng), uniform(sizes.weight, rng, -range, range)};
    if (bias == Bias::no) return inputs;
    inputs.push_back(uniform({sizes.weight[0]}, rng));
    if (kinks)
      for (std::size_t o = 0; float& value : inputs[2].mutable_span<float>())
        value = static_cast<float>(static_cast<int>(o++ % 3) * 6 - 3);
    return inputs;
  };
  c.run = [op](std::span<const Tensor> inputs) {
    return conv2d(inputs[0], inputs[1], inputs.size() > 2 ? inputs[2] : Tensor{}, op);
  };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) { return plain_conv(op, inputs, grad); };
  c.tolerance = 1e-5;
  c.why = "sums of up to a few thousand products in float, in another order";
  c.step = 0.25f;  // linear in each input while no kink is crossed
  c.flops = 2.0 * static_cast<double>(conv_shape(op, sizes.x, sizes.weight).macs());
  return c;
}

OpCase pooled_case(const std::string& name, const Sizes& sizes, const Conv2d& op = {},
                   Bias bias = Bias::yes) {
  OpCase c = conv_case(name, sizes, op, bias);
  c.name = "conv2d_max_pool/" + name;
  c.run = [op](std::span<const Tensor> inputs) {
    return conv2d_max_pool(inputs[0], inputs[1], inputs.size() > 2 ? inputs[2] : Tensor{}, op);
  };
  c.plain = [op](std::span<const Tensor> inputs, const Tensor& grad) {
    return plain_pooled(op, inputs, grad);
  };
  c.not_derivatives = 0b11;  // a step in x or the weight moves maxima
  return c;
}

OpCase large(OpCase c) {
  c.large = true;
  return c;
}

/// A first layer: nobody asks for the gradient of an image.
OpCase large_first(OpCase c) {
  c.constants = 1;
  return large(std::move(c));
}

}  // namespace

std::vector<OpCase> conv_cases() {
  const Padding same = Padding::same();
  const auto relu = Activation::relu;
  return {
      conv_case("1x1_image", {{1, 1, 1, 1}, {1, 1, 1, 1}}),
      conv_case("1x1_image_same_3x3", {{2, 1, 1, 3}, {5, 3, 3, 3}}, {.padding = same}),
      conv_case("1_channel_3x3", {{3, 8, 7, 1}, {12, 3, 3, 1}}),
      conv_case("1_channel_3x3_relu", {{5, 9, 20, 1}, {12, 3, 3, 1}}, {.activation = relu}),
      conv_case("1_channel_3x3_relu_32", {{2, 7, 33, 1}, {32, 3, 3, 1}}, {.activation = relu}),
      conv_case("1_channel_same_stride_2", {{3, 8, 8, 1}, {12, 3, 3, 1}},
                {.stride_h = 2, .stride_w = 2, .padding = same}, Bias::no),
      conv_case("1_channel_5x5", {{2, 7, 9, 1}, {6, 5, 5, 1}}, {.padding = same}),
      conv_case("3_channels_same_stride_2_relu6", {{2, 9, 11, 3}, {32, 3, 3, 3}},
                {.stride_h = 2, .stride_w = 2, .padding = same, .activation = Activation::relu6}),
      conv_case("2_channels_relu6", {{1, 6, 6, 2}, {17, 3, 3, 2}}, {.activation = Activation::relu6}),
      conv_case("stride_3", {{2, 11, 10, 5}, {3, 3, 3, 5}}, {.stride_h = 3, .stride_w = 3}),
      conv_case("stride_2_by_1", {{2, 9, 6, 3}, {8, 3, 3, 3}}, {.stride_h = 2, .stride_w = 1}),
      conv_case("kernel_larger_than_image_same", {{2, 3, 2, 3}, {4, 5, 5, 3}}, {.padding = same}),
      conv_case("kernel_1x5_symmetric", {{2, 6, 7, 4}, {5, 1, 5, 4}}, {.padding = Padding::symmetric(2)}),
      conv_case("17_to_5_same", {{3, 5, 6, 17}, {5, 3, 3, 17}}, {.padding = same}),
      conv_case("5_to_17_symmetric", {{3, 6, 5, 5}, {17, 3, 3, 5}}, {.padding = Padding::symmetric(1)}),
      conv_case("32_to_64_relu", {{2, 7, 7, 32}, {64, 3, 3, 32}}, {.activation = relu}),
      conv_case("16_to_48_same_stride_2", {{2, 7, 7, 16}, {48, 3, 3, 16}},
                {.stride_h = 2, .stride_w = 2, .padding = same}),
      conv_case("pointwise_12_to_16", {{3, 7, 7, 12}, {16, 1, 1, 12}}, {}, Bias::no),
      conv_case("pointwise_16_to_24", {{3, 5, 3, 16}, {24, 1, 1, 16}}),
      conv_case("pointwise_17_to_33_relu6", {{2, 5, 5, 17}, {33, 1, 1, 17}},
                {.activation = Activation::relu6}),
      conv_case("pointwise_stride_2", {{2, 7, 6, 8}, {16, 1, 1, 8}}, {.stride_h = 2, .stride_w = 2}),
      // Weights large enough for oneDNN.
      conv_case("64_to_64_same_relu6", {{3, 5, 4, 64}, {64, 3, 3, 64}},
                {.padding = same, .activation = Activation::relu6}),
      conv_case("65_to_66_stride_2", {{5, 6, 7, 65}, {66, 3, 3, 65}}, {.stride_h = 2, .stride_w = 2},
                Bias::no),
      conv_case("pointwise_150_to_230", {{3, 3, 4, 150}, {230, 1, 1, 150}}),
      conv_case("groups_2", {{2, 6, 6, 8}, {6, 3, 3, 4}}, {.groups = 2}),
      conv_case("groups_2_of_17", {{2, 6, 6, 34}, {10, 3, 3, 17}}, {.groups = 2}),
      conv_case("groups_2_same_stride_2_relu", {{3, 7, 5, 6}, {10, 3, 3, 3}},
                {.stride_h = 2, .stride_w = 2, .padding = same, .groups = 2, .activation = relu}),
      conv_case("depthwise_12_same", {{3, 14, 14, 12}, {12, 3, 3, 1}}, {.padding = same, .groups = 12},
                Bias::no),
      conv_case("depthwise_16_same_stride_2", {{3, 14, 13, 16}, {16, 3, 3, 1}},
                {.stride_h = 2, .stride_w = 2, .padding = same, .groups = 16}, Bias::no),
      conv_case("depthwise_12_valid_relu", {{2, 5, 6, 12}, {12, 3, 3, 1}},
                {.groups = 12, .activation = relu}),
      conv_case("depthwise_3_stride_3", {{2, 8, 7, 3}, {3, 3, 3, 1}},
                {.stride_h = 3, .stride_w = 3, .groups = 3}),
      conv_case("depthwise_17_5x5_relu6", {{2, 7, 6, 17}, {17, 5, 5, 1}},
                {.padding = same, .groups = 17, .activation = Activation::relu6}),
      conv_case("depthwise_40_2x3_stride_2_by_1", {{2, 6, 5, 40}, {40, 2, 3, 1}},
                {.stride_h = 2, .stride_w = 1, .padding = same, .groups = 40}),
      conv_case("depthwise_3x11_stride_2", {{2, 6, 13, 5}, {5, 3, 11, 1}},
                {.stride_h = 2, .stride_w = 2, .padding = same, .groups = 5}),
      conv_case("depthwise_4x4_stride_3_symmetric", {{2, 7, 8, 6}, {6, 4, 4, 1}},
                {.stride_h = 3, .stride_w = 3, .padding = Padding::symmetric(2), .groups = 6}),
      conv_case("depthwise_1x1_image_same", {{2, 1, 1, 5}, {5, 3, 3, 1}}, {.padding = same, .groups = 5}),
      conv_case("depthwise_multiplier_2", {{2, 5, 5, 3}, {6, 3, 3, 1}}, {.padding = same, .groups = 3}),

      pooled_case("1_channel_relu", {{5, 28, 28, 1}, {12, 3, 3, 1}}, {.activation = relu}),
      pooled_case("odd_rows_and_columns_relu", {{3, 13, 15, 8}, {17, 3, 3, 8}}, {.activation = relu}),
      pooled_case("odd_32_to_64_relu6", {{2, 9, 7, 32}, {64, 3, 3, 32}}, {.activation = Activation::relu6}),
      pooled_case("same_no_bias", {{3, 6, 5, 5}, {7, 3, 3, 5}}, {.padding = same}, Bias::no),
      pooled_case("pointwise", {{3, 4, 7, 12}, {16, 1, 1, 12}}),
      pooled_case("one_window", {{2, 4, 4, 3}, {40, 3, 3, 3}}, {.activation = relu}),
      pooled_case("16_to_20_same_5x5", {{3, 9, 8, 16}, {20, 5, 5, 16}},
                  {.padding = same, .activation = relu}),
      pooled_case("48_to_6_same", {{2, 6, 7, 48}, {6, 3, 3, 48}}, {.padding = same}, Bias::no),
      pooled_case("large_image_relu", {{2, 30, 23, 32}, {5, 3, 3, 32}}, {.activation = relu}),
      // Not joined: a stride, a weight for oneDNN, groups.
      pooled_case("stride_2", {{2, 12, 11, 3}, {8, 3, 3, 3}},
                  {.stride_h = 2, .stride_w = 2, .activation = relu}),
      pooled_case("64_to_64", {{2, 6, 6, 64}, {64, 3, 3, 64}}, {.activation = relu}),
      pooled_case("depthwise", {{2, 6, 6, 12}, {12, 3, 3, 1}}, {.groups = 12}),

      // The layers of the models that are trained here, at their batch sizes.
      large_first(conv_case("tutorial_1", {{128, 28, 28, 1}, {12, 3, 3, 1}}, {.activation = relu})),
      large_first(conv_case("conv_1", {{128, 28, 28, 1}, {32, 3, 3, 1}}, {.activation = relu})),
      large(conv_case("conv_2", {{128, 13, 13, 32}, {64, 3, 3, 32}}, {.activation = relu})),
      large_first(pooled_case("conv_1", {{128, 28, 28, 1}, {32, 3, 3, 1}}, {.activation = relu})),
      large(pooled_case("conv_2", {{128, 13, 13, 32}, {64, 3, 3, 32}}, {.activation = relu})),
      large_first(conv_case("dscnn_1", {{128, 28, 28, 1}, {12, 3, 3, 1}},
                            {.stride_h = 2, .stride_w = 2, .padding = same}, Bias::no)),
      large(conv_case("dscnn_dw_1", {{128, 14, 14, 12}, {12, 3, 3, 1}}, {.padding = same, .groups = 12},
                      Bias::no)),
      large(conv_case("dscnn_pw_1", {{128, 14, 14, 12}, {16, 1, 1, 12}}, {}, Bias::no)),
      large(conv_case("dscnn_dw_2", {{128, 14, 14, 16}, {16, 3, 3, 1}},
                      {.stride_h = 2, .stride_w = 2, .padding = same, .groups = 16}, Bias::no)),
      large(conv_case("dscnn_pw_2", {{128, 7, 7, 16}, {24, 1, 1, 16}}, {}, Bias::no)),
      large_first(conv_case("efficientnet_stem", {{8, 128, 128, 3}, {32, 3, 3, 3}},
                            {.stride_h = 2, .stride_w = 2, .padding = same}, Bias::no)),
      large(conv_case("efficientnet_dw_32", {{8, 64, 64, 32}, {32, 3, 3, 1}}, {.padding = same, .groups = 32},
                      Bias::no)),
      large(conv_case("efficientnet_dw_96_stride_2", {{8, 64, 64, 96}, {96, 3, 3, 1}},
                      {.stride_h = 2, .stride_w = 2, .padding = same, .groups = 96}, Bias::no)),
      large(conv_case("efficientnet_dw_240_5x5", {{8, 16, 16, 240}, {240, 5, 5, 1}},
                      {.padding = same, .groups = 240}, Bias::no)),
      large(conv_case("efficientnet_pw_16_to_96", {{8, 64, 64, 16}, {96, 1, 1, 16}}, {}, Bias::no)),
      large(conv_case("efficientnet_pw_240_to_80", {{8, 8, 8, 240}, {80, 1, 1, 240}}, {}, Bias::no)),
      large(conv_case("efficientnet_pw_192_to_1152", {{8, 4, 4, 192}, {1152, 1, 1, 192}}, {}, Bias::no)),
      large(conv_case("resnet_3x3_64", {{8, 28, 28, 64}, {64, 3, 3, 64}}, {.padding = same}, Bias::no)),
      large(conv_case("resnet_3x3_128_stride_2", {{8, 28, 28, 128}, {128, 3, 3, 128}},
                      {.stride_h = 2, .stride_w = 2, .padding = same}, Bias::no)),
  };
}

}  // namespace lathe::testing
