#pragma once

#include <lathe/base/shape.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

/// The one vocabulary of operations, shared by the autograd tape, the deployable graph and the runtime.
/// An op is its parameters and nothing else; what it reads is listed as `inputs`. Letters: N batch, H W
/// height and width, C input channels, O output channels, KH KW kernel, g groups. Activations are [N,H,W,C].
namespace lathe::graph {

// The numbers of all enums here are stored in files: never renumber.

/// Applied to the output of an op that has it fused.
enum class Activation : std::uint8_t { none = 0, relu = 1, relu6 = 2, sigmoid = 3, silu = 4 };

std::string_view to_string(Activation activation);

/// How windows meet the border of an image.
struct Padding {
  enum class Kind : std::uint8_t {
    valid = 0,     ///< no padding
    same = 1,      ///< TensorFlow's: output = ceil(input / stride), the smaller half of the padding first
    symmetric = 2  ///< `amount` on each side
  };
  Kind kind = Kind::valid;
  int amount = 0;

  static constexpr Padding valid() { return {}; }
  static constexpr Padding same() { return {Kind::same, 0}; }
  static constexpr Padding symmetric(int amount) { return {Kind::symmetric, amount}; }
  bool operator==(const Padding&) const = default;
};

std::string to_string(Padding padding);

/// A window's walk along one axis: output extent and the zeros put before and after the input.
struct Window {
  std::int64_t out = 0;
  std::int64_t before = 0;
  std::int64_t after = 0;
};

/// Throws Error (naming `op`) when the kernel does not fit into the padded input.
Window slide(std::string_view op, std::int64_t in, std::int64_t kernel, std::int64_t stride, Padding padding);

/// inputs: x [N,H,W,C], weight [O,KH,KW,C/g], optional bias [O] -> [N,H',W',O]. With g = C = O it is a
/// depthwise convolution, weight [C,KH,KW,1]. In integer graphs x, output are i8 or i16, weight i8, bias i32
/// (i64 with i16).
struct Conv2d {
  static constexpr std::string_view kName = "conv2d";
  int stride_h = 1;
  int stride_w = 1;
  Padding padding;
  int groups = 1;
  Activation activation = Activation::none;
  bool operator==(const Conv2d&) const = default;
};

/// inputs: x [N,I], weight [O,I], optional bias [O] -> [N,O]
struct Linear {
  static constexpr std::string_view kName = "linear";
  Activation activation = Activation::none;
  bool operator==(const Linear&) const = default;
};

/// inputs: x [N,H,W,C] -> [N,H',W',C]. Padding never wins the maximum.
struct MaxPool2d {
  static constexpr std::string_view kName = "max_pool2d";
  int kernel_h = 2, kernel_w = 2;
  int stride_h = 2, stride_w = 2;
  Padding padding;
  bool operator==(const MaxPool2d&) const = default;
};

/// inputs: x [N,H,W,C] -> [N,H',W',C]. The mean of the real (unpadded) elements of each window.
struct AvgPool2d {
  static constexpr std::string_view kName = "avg_pool2d";
  int kernel_h = 2, kernel_w = 2;
  int stride_h = 2, stride_w = 2;
  Padding padding;
  bool operator==(const AvgPool2d&) const = default;
};

/// inputs: x [N,H,W,C] -> [N,C]
struct GlobalAvgPool {
  static constexpr std::string_view kName = "global_avg_pool";
  bool operator==(const GlobalAvgPool&) const = default;
};

/// inputs: x [...,C], gamma [C], beta [C], moving mean [C], moving variance [C] -> x's shape.
/// Ioffe & Szegedy 2015. `training`: normalise with the batch's statistics (biased variance) and move the
/// moving ones, moving = momentum * moving + (1 - momentum) * batch; else normalise with the moving ones.
/// Graphs hold training = false.
struct BatchNorm {
  static constexpr std::string_view kName = "batch_norm";
  float epsilon = 1e-3f;
  float momentum = 0.99f;
  bool training = false;
  Activation activation = Activation::none;
  bool operator==(const BatchNorm&) const = default;
};

/// inputs: x -> max(x,0) | min(max(x,0),6) | 1/(1+exp(-x)) | x*sigmoid(x)
struct Activate {
  static constexpr std::string_view kName = "activate";
  Activation activation = Activation::relu;
  bool operator==(const Activate&) const = default;
};

/// inputs: x [...,C] -> x's shape, over the last axis
struct Softmax {
  static constexpr std::string_view kName = "softmax";
  bool operator==(const Softmax&) const = default;
};
struct LogSoftmax {
  static constexpr std::string_view kName = "log_softmax";
  bool operator==(const LogSoftmax&) const = default;
};

/// inputs: a, b of one shape -> that shape
struct Add {
  static constexpr std::string_view kName = "add";
  Activation activation = Activation::none;
  bool operator==(const Add&) const = default;
};

/// inputs: a, b of one shape; or a [N,H,W,C] and b [N,C] or [N,1,1,C] (squeeze-and-excite) -> a's shape
struct Multiply {
  static constexpr std::string_view kName = "multiply";
  bool operator==(const Multiply&) const = default;
};

/// inputs: one or more of equal rank, equal but for the last axis -> joined along the last axis
struct Concat {
  static constexpr std::string_view kName = "concat";
  bool operator==(const Concat&) const = default;
};

/// inputs: x [N,...] -> [N,dims...], the same number of elements per sample. Flatten is dims = {H*W*C}.
struct Reshape {
  static constexpr std::string_view kName = "reshape";
  std::vector<std::int64_t> dims;
  bool operator==(const Reshape&) const = default;
};

/// inputs: x [N,H,W,C] -> zeros around the image
struct Pad {
  static constexpr std::string_view kName = "pad";
  int top = 0, bottom = 0, left = 0, right = 0;
  bool operator==(const Pad&) const = default;
};

/// inputs: x, f32 or u8 -> integers with the output's quantization parameters (u8 -> i8 shifts by 128)
struct Quantize {
  static constexpr std::string_view kName = "quantize";
  bool operator==(const Quantize&) const = default;
};

/// inputs: integers -> f32 (or u8)
struct Dequantize {
  static constexpr std::string_view kName = "dequantize";
  bool operator==(const Dequantize&) const = default;
};

// Training only: never in a deployed graph.

/// inputs: x -> x with each element zeroed with probability `rate`, the rest scaled by 1/(1-rate). Srivastava
/// et al. 2014.
struct Dropout {
  static constexpr std::string_view kName = "dropout";
  float rate = 0.5f;
  bool operator==(const Dropout&) const = default;
};

/// inputs: logits [N,C], labels [N] i32 -> mean over N of the cross-entropy with targets
/// (1-s)*onehot + s/C, s = label_smoothing (Szegedy et al. 2016, section 7). Scalar.
struct CrossEntropy {
  static constexpr std::string_view kName = "cross_entropy";
  float label_smoothing = 0;
  bool operator==(const CrossEntropy&) const = default;
};

/// inputs: student logits z [N,C], target logits t [N,C] -> T^2 * mean over N of KL(softmax(t/T) ||
/// softmax(z/T)). Hinton et al. 2015. No gradient to t. Scalar.
struct KlDivergence {
  static constexpr std::string_view kName = "kl_divergence";
  float temperature = 1;
  bool operator==(const KlDivergence&) const = default;
};

/// inputs: x, target of one shape -> mean of the squared differences. No gradient to target. Scalar.
struct MeanSquaredError {
  static constexpr std::string_view kName = "mean_squared_error";
  bool operator==(const MeanSquaredError&) const = default;
};

/// inputs: x -> factor * x
struct Scale {
  static constexpr std::string_view kName = "scale";
  float factor = 1;
  bool operator==(const Scale&) const = default;
};

/// inputs: x -> the sum of all elements. Scalar.
struct Sum {
  static constexpr std::string_view kName = "sum";
  bool operator==(const Sum&) const = default;
};

/// inputs: x, mask of one shape -> x where the mask is not 0, +0 elsewhere. The gradient passes to x unmasked
/// (straight through): a weight that was pruned can come back. No gradient to mask.
struct ApplyMask {
  static constexpr std::string_view kName = "apply_mask";
  bool operator==(const ApplyMask&) const = default;
};

/// inputs: x, centroids [K] -> the nearest centroid of each element, the lowest index of equally near ones;
/// or x [C,...], centroids [C,K]: a codebook for each index of axis 0. NaN for an x that is NaN and where a
/// centroid is not finite. The gradient passes to x unchanged (straight through), to a centroid goes the sum
/// over its members, or with `average` their mean (0 without members). `zero_first`: the first centroid
/// counts as 0 whatever it is, and gets no gradient.
struct ClusterLookup {
  static constexpr std::string_view kName = "cluster_lookup";
  bool average = false;
  bool zero_first = false;
  bool operator==(const ClusterLookup&) const = default;
};

/// inputs: x [O,...] -> scale * q, q = x / scale rounded to whole numbers, halves away from zero: what a
/// weight is when its integers have 8 bits. One scale for each index of axis 0, largest |x| / 127, or with
/// `per_tensor` one for all (graph/quantization.h). The gradient passes unchanged (straight through; nothing
/// is cut off).
struct FakeQuantizeWeight {
  static constexpr std::string_view kName = "fake_quantize_weight";
  bool per_tensor = false;
  bool operator==(const FakeQuantizeWeight&) const = default;
};

/// inputs: x, optional slack [C] -> scale * q, q = x / scale rounded to whole numbers, halves away from zero,
/// and cut off at the ends of the codes: what an activation is that goes from min to max, min <= 0 <= max,
/// when its integers have `bits` bits, 8 or 16 (graph/quantization.h). To the bit what quantizing and
/// dequantizing gives; NaN stays NaN. The gradient passes where nothing is cut off. With slack, for x
/// [...,C], what is nearer than that below a half counts as a half: integers that are rescaled in two steps
/// are rounded twice. `average`: x is an average of such integers, and halves go away from where the code is
/// 0 instead, as average pooling of integers rounds them.
struct FakeQuantize {
  static constexpr std::string_view kName = "fake_quantize";
  float min = 0;
  float max = 1;
  int bits = 8;
  bool average = false;
  bool operator==(const FakeQuantize&) const = default;
};

/// The position in this list is stored in files: add at the end only.
using Op = std::variant<Conv2d, Linear, MaxPool2d, AvgPool2d, GlobalAvgPool, BatchNorm, Activate, Softmax,
                        LogSoftmax, Add, Multiply, Concat, Reshape, Pad, Quantize, Dequantize, Dropout,
                        CrossEntropy, KlDivergence, MeanSquaredError, Scale, Sum, ApplyMask, ClusterLookup,
                        FakeQuantizeWeight, FakeQuantize>;

/// "conv2d"
std::string_view name(const Op& op);

/// "conv2d(stride_h=2, stride_w=2, padding=same, activation=relu)": parameters that differ from the default.
std::string to_string(const Op& op);

/// May the op be in a deployed graph?
bool deployable(const Op& op);

/// The output's shape. Throws Error when the number or the shapes of the inputs do not fit, or a parameter is
/// out of range.
Shape infer_shape(const Op& op, std::span<const Shape> inputs);

/// Calls visit(field name, field reference) for each parameter of an op, in file order. The text form and the
/// model file both use it, so an op's fields are listed once.
template <typename SomeOp, typename Visit>
void for_each_field(SomeOp& op, Visit&& visit) {
  using T = std::remove_const_t<SomeOp>;
  if constexpr (requires { op.kernel_h; }) visit("kernel_h", op.kernel_h), visit("kernel_w", op.kernel_w);
  if constexpr (requires { op.stride_h; }) visit("stride_h", op.stride_h), visit("stride_w", op.stride_w);
  if constexpr (requires { op.padding; }) visit("padding", op.padding);
  if constexpr (requires { op.groups; }) visit("groups", op.groups);
  if constexpr (requires { op.activation; }) visit("activation", op.activation);
  if constexpr (requires { op.dims; }) visit("dims", op.dims);
  if constexpr (requires { op.top; })
    visit("top", op.top), visit("bottom", op.bottom), visit("left", op.left), visit("right", op.right);
  if constexpr (std::is_same_v<T, BatchNorm>)
    visit("epsilon", op.epsilon), visit("momentum", op.momentum), visit("training", op.training);
  if constexpr (requires { op.rate; }) visit("rate", op.rate);
  if constexpr (requires { op.label_smoothing; }) visit("label_smoothing", op.label_smoothing);
  if constexpr (requires { op.temperature; }) visit("temperature", op.temperature);
  if constexpr (requires { op.factor; }) visit("factor", op.factor);
  if constexpr (requires { op.average; }) visit("average", op.average);
  if constexpr (requires { op.zero_first; }) visit("zero_first", op.zero_first);
  if constexpr (requires { op.min; }) visit("min", op.min), visit("max", op.max);
  if constexpr (requires { op.bits; }) visit("bits", op.bits);
  if constexpr (requires { op.per_tensor; }) visit("per_tensor", op.per_tensor);
}

}  // namespace lathe::graph
