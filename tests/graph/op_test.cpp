#include "support/errors.h"

#include <lathe/graph/op.h>

#include <array>
#include <set>

using namespace lathe;
using namespace lathe::graph;

namespace {

Shape shape_of(const Op& op, std::initializer_list<Shape> inputs) {
  return infer_shape(op, std::span(inputs.begin(), inputs.size()));
}

}  // namespace

TEST_CASE("a window covers the input as each padding says") {
  const Window valid = slide("op", 28, 3, 1, Padding::valid());
  CHECK(valid.out == 26);
  CHECK(valid.before + valid.after == 0);
  const Window same = slide("op", 28, 3, 2, Padding::same());
  CHECK(same.out == 14);
  CHECK(same.before == 0);  // one row of padding in all, the smaller half first
  CHECK(same.after == 1);
  const Window odd = slide("op", 7, 3, 2, Padding::same());
  CHECK(odd.out == 4);
  CHECK(odd.before == 1);
  CHECK(odd.after == 1);
  const Window sparse = slide("op", 6, 2, 4, Padding::same());  // the last window ends with the input
  CHECK(sparse.out == 2);
  CHECK(sparse.before + sparse.after == 0);
  const Window symmetric = slide("op", 224, 7, 2, Padding::symmetric(3));
  CHECK(symmetric.out == 112);
  CHECK(symmetric.before == 3);
  CHECK(symmetric.after == 3);
  CHECK(slide("op", 2, 5, 1, Padding::same()).out == 2);
}

TEST_CASE("a kernel that does not fit is refused with its extents") {
  CHECK_ERROR(slide("max_pool2d", 3, 5, 1, Padding::valid()),
              "max_pool2d: a kernel of 5 does not fit into an input of 3 (padding valid)");
  CHECK_ERROR(slide("conv2d", 3, 6, 1, Padding::symmetric(1)), "(padding symmetric(1))");
  CHECK_ERROR(slide("conv2d", 3, 3, 0, Padding::same()), "stride 0 must be at least 1");
}

TEST_CASE("shapes follow the ops") {
  CHECK(shape_of(Conv2d{}, {{8, 28, 28, 1}, {12, 3, 3, 1}, {12}}) == Shape{8, 26, 26, 12});
  CHECK(shape_of(Conv2d{.stride_h = 2, .stride_w = 1, .padding = Padding::same()},
                 {{8, 28, 28, 4}, {12, 3, 5, 4}}) == Shape{8, 14, 28, 12});
  CHECK(shape_of(Conv2d{.groups = 12}, {{1, 5, 5, 12}, {12, 3, 3, 1}}) == Shape{1, 3, 3, 12});
  CHECK(shape_of(Conv2d{.groups = 4}, {{1, 5, 5, 12}, {8, 1, 1, 3}}) == Shape{1, 5, 5, 8});
  CHECK(shape_of(Linear{}, {{8, 20}, {10, 20}, {10}}) == Shape{8, 10});
  CHECK(shape_of(MaxPool2d{}, {{8, 27, 26, 3}}) == Shape{8, 13, 13, 3});
  CHECK(shape_of(AvgPool2d{.kernel_h = 3, .kernel_w = 2, .padding = Padding::same()}, {{8, 27, 26, 3}}) ==
        Shape{8, 14, 13, 3});
  CHECK(shape_of(GlobalAvgPool{}, {{8, 7, 7, 24}}) == Shape{8, 24});
  CHECK(shape_of(BatchNorm{}, {{8, 7, 7, 24}, {24}, {24}, {24}, {24}}) == Shape{8, 7, 7, 24});
  CHECK(shape_of(Multiply{}, {{8, 7, 7, 24}, {8, 24}}) == Shape{8, 7, 7, 24});
  CHECK(shape_of(Multiply{}, {{8, 7, 7, 24}, {8, 1, 1, 24}}) == Shape{8, 7, 7, 24});
  CHECK(shape_of(Concat{}, {{8, 7, 7, 3}, {8, 7, 7, 5}, {8, 7, 7, 1}}) == Shape{8, 7, 7, 9});
  CHECK(shape_of(Reshape{{13, 13 * 3}}, {{8, 13, 13, 3}}) == Shape{8, 13, 39});
  CHECK(shape_of(Pad{.top = 1, .right = 2}, {{8, 4, 4, 3}}) == Shape{8, 5, 6, 3});
  CHECK(shape_of(CrossEntropy{}, {{8, 10}, {8}}) == Shape{});
}

TEST_CASE("inputs that do not fit are refused with their shapes") {
  CHECK_ERROR(
      shape_of(Conv2d{}, {{8, 32, 32, 3}, {16, 3, 3, 4}}),
      "conv2d: input has 3 channels, weight expects 4 (input [8,32,32,3], weight [16,3,3,4], groups 1)");
  CHECK_ERROR(shape_of(Conv2d{}, {{8, 32, 32}, {16, 3, 3, 4}}),
              "conv2d: input must be [N,H,W,C], given [8,32,32]");
  CHECK_ERROR(shape_of(Conv2d{}, {{8, 32, 32, 4}, {16, 3, 3, 4}, {15}}),
              "conv2d: bias must be [16], given [15]");
  CHECK_ERROR(shape_of(Conv2d{.groups = 3}, {{8, 32, 32, 6}, {16, 3, 3, 2}}),
              "16 output channels do not divide");
  CHECK_ERROR(shape_of(Conv2d{}, {{8, 32, 32, 4}}), "conv2d: takes 2 to 3 inputs, 1 given ([8,32,32,4])");
  CHECK_ERROR(shape_of(Linear{}, {{8, 21}, {10, 20}}), "linear: input has 21 features, weight expects 20");
  CHECK_ERROR(shape_of(Linear{}, {{8, 3, 7}, {10, 21}}), "linear: input must be [N,I], given [8,3,7]");
  CHECK_ERROR(shape_of(GlobalAvgPool{}, {{8, 24}}), "global_avg_pool: input must be [N,H,W,C]");
  CHECK_ERROR(shape_of(BatchNorm{}, {{8, 24}, {24}, {24}, {23}, {24}}),
              "batch_norm: moving mean must be [24], given [23]");
  CHECK_ERROR(shape_of(Add{}, {{8, 24}, {8, 23}}),
              "add: inputs must have the same shape, given [8,24] and [8,23]");
  CHECK_ERROR(shape_of(Multiply{}, {{8, 7, 7, 24}, {8, 7, 1, 24}}), "multiply: the second input");
  CHECK_ERROR(shape_of(Multiply{}, {{8, 24}, {8, 7, 7, 24}}), "multiply: the second input");
  CHECK_ERROR(shape_of(Concat{}, {{8, 7, 7, 3}, {8, 7, 6, 3}}),
              "concat: inputs must agree in all but the last axis");
  CHECK_ERROR(shape_of(Concat{}, {}), "concat: takes 1 or more inputs, 0 given");
  CHECK_ERROR(shape_of(Reshape{{5, 5}}, {{8, 24}}), "reshape: [8,24] has 192 elements, [8,5,5] has 200");
  CHECK_ERROR(shape_of(Reshape{{-1, -24}}, {{8, 24}}), "reshape: extent must be at least 1, given -1");
  CHECK_ERROR(shape_of(Softmax{}, {Shape{}}), "softmax: input must be [...,C], given a scalar");
  CHECK_ERROR(shape_of(CrossEntropy{}, {{8, 10}, {7}}), "cross_entropy: labels must be [8], given [7]");
  CHECK_ERROR(shape_of(KlDivergence{}, {{8, 10}, {8, 9}}), "kl_divergence: inputs must have the same shape");
  CHECK_ERROR(shape_of(Activate{}, {{8, 0, 3}}), "activate: extents of inputs must be in [1,");
}

TEST_CASE("parameters out of range are refused") {
  CHECK_ERROR(shape_of(Conv2d{.stride_w = 0}, {{1, 9, 9, 1}, {1, 3, 3, 1}}),
              "conv2d: stride must be at least 1");
  CHECK_ERROR(shape_of(Conv2d{.groups = 0}, {{1, 9, 9, 1}, {1, 3, 3, 1}}),
              "conv2d: groups must be at least 1");
  CHECK_ERROR(shape_of(Conv2d{.padding = Padding::symmetric(-1)}, {{1, 9, 9, 1}, {1, 3, 3, 1}}),
              "conv2d: padding must not be negative");
  CHECK_ERROR(shape_of(MaxPool2d{.kernel_h = -2}, {{1, 9, 9, 1}}),
              "max_pool2d: kernel must be at least 1, given -2");
  CHECK_ERROR(shape_of(AvgPool2d{.padding = Padding::symmetric(2)}, {{1, 9, 9, 1}}),
              "avg_pool2d: padding 2 must be smaller than the kernel 2x2");
  CHECK_ERROR(shape_of(Pad{.left = -1}, {{1, 9, 9, 1}}),
              "pad: amounts must not be negative, given pad(left=-1)");
  CHECK_ERROR(shape_of(Dropout{.rate = 1}, {{1, 9}}), "dropout: rate must be in [0,1), given 1");
  CHECK_ERROR(shape_of(CrossEntropy{.label_smoothing = -1}, {{8, 10}, {8}}),
              "label smoothing must be in [0,1)");
  CHECK_ERROR(shape_of(KlDivergence{.temperature = 0}, {{8, 10}, {8, 10}}), "temperature must be positive");
  CHECK_ERROR(shape_of(BatchNorm{.epsilon = -1}, {{2}, {2}, {2}, {2}, {2}}), "epsilon must not be negative");
  CHECK_ERROR(shape_of(BatchNorm{.momentum = 2}, {{2}, {2}, {2}, {2}, {2}}), "momentum must be in [0,1]");
}

TEST_CASE("sizes that overflow are refused") {
  const std::int64_t large = (std::int64_t{1} << 31) - 1;
  CHECK_ERROR(shape_of(Activate{}, {{large + 1}}), "extents of inputs must be in [1,2147483647]");
  CHECK_ERROR(shape_of(Pad{.top = 2147483647, .left = 2147483647}, {{large, 1, 1, 2}}), "overflows");
  CHECK_ERROR(shape_of(Reshape{{large, large, large}}, {{1, 9}}), "overflows");
}

TEST_CASE("the text of an op has the parameters that differ from the default") {
  CHECK(to_string(Op(Conv2d{})) == "conv2d");
  CHECK(to_string(
            Op(Conv2d{.stride_h = 2, .padding = Padding::symmetric(1), .activation = Activation::silu})) ==
        "conv2d(stride_h=2, padding=symmetric(1), activation=silu)");
  CHECK(to_string(Op(Reshape{{5, 5, 64}})) == "reshape(dims=[5,5,64])");
  CHECK(to_string(Op(BatchNorm{.epsilon = 1e-5f, .training = true})) ==
        "batch_norm(epsilon=1e-05, training=true)");
  CHECK(to_string(Op(MaxPool2d{.kernel_h = 3, .padding = Padding::same()})) ==
        "max_pool2d(kernel_h=3, padding=same)");
}

TEST_CASE("training operations are not deployable") {
  CHECK(deployable(Conv2d{}));
  CHECK(deployable(BatchNorm{}));
  CHECK_FALSE(deployable(BatchNorm{.training = true}));
  CHECK_FALSE(deployable(Dropout{}));
  CHECK_FALSE(deployable(CrossEntropy{}));
  CHECK_FALSE(deployable(Sum{}));
}

TEST_CASE("every op has a name of its own") {
  std::set<std::string_view> names;
  [&]<std::size_t... I>(std::index_sequence<I...>) { (names.insert(name(Op(std::in_place_index<I>))), ...); }
  (std::make_index_sequence<std::variant_size_v<Op>>());
  CHECK(names.size() == std::variant_size_v<Op>);
}
