#include <lathe/base/error.h>
#include <lathe/graph/op.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::graph {
namespace {

using Inputs = std::span<const Shape>;

/// Shapes that are turned into text only when an error is: infer_shape runs at every operation of a training
/// step.
struct Shapes {
  Inputs shapes;
};
Shapes text(const Shape& shape) { return {{&shape, 1}}; }
Shapes text(Inputs shapes) { return {shapes}; }

}  // namespace
}  // namespace lathe::graph

template <>
struct fmt::formatter<lathe::graph::Shapes> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const lathe::graph::Shapes& list, Context& context) const {
    std::string result;
    for (const lathe::Shape& shape : list.shapes) result += (result.empty() ? "" : ", ") + to_string(shape);
    return fmt::formatter<std::string_view>::format(result, context);
  }
};

namespace lathe::graph {
namespace {

/// Kernels index one axis with 32 bits; it also keeps the sums below from overflowing.
constexpr std::int64_t kMaxExtent = std::numeric_limits<std::int32_t>::max();

void check_count(std::string_view op, Inputs inputs, std::size_t least, std::size_t most) {
  if (inputs.size() >= least && inputs.size() <= most) return;
  const bool open = most == std::numeric_limits<std::size_t>::max();
  const std::string count = least == most ? std::to_string(least)
                            : open        ? fmt::format("{} or more", least)
                                          : fmt::format("{} to {}", least, most);
  fail("{}: takes {} inputs, {} given ({})", op, count, inputs.size(), text(inputs));
}

void check_rank(std::string_view op, std::string_view what, const Shape& shape, int rank,
                std::string_view letters) {
  check(shape.rank() == rank, "{}: {} must be {}, given {}", op, what, letters, text(shape));
}

void check_image(std::string_view op, const Shape& shape) { check_rank(op, "input", shape, 4, "[N,H,W,C]"); }

void check_positive(std::string_view op, std::string_view what, std::int64_t value) {
  check(value >= 1, "{}: {} must be at least 1, given {}", op, what, value);
}

void check_bias(std::string_view op, Inputs inputs, std::int64_t outputs) {
  check(inputs.size() < 3 || inputs[2] == Shape{outputs}, "{}: bias must be [{}], given {} (weight {})", op,
        outputs, text(inputs.back()), text(inputs[1]));
}

void check_padding(std::string_view op, Padding padding) {
  if (padding.amount < 0) fail("{}: padding must not be negative, given {}", op, to_string(padding));
}

void check_same_shape(std::string_view op, Inputs inputs) {
  check(inputs[0] == inputs[1], "{}: inputs must have the same shape, given {} and {}", op, text(inputs[0]),
        text(inputs[1]));
}

Shape infer(const Conv2d& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 3);
  const Shape &x = inputs[0], &weight = inputs[1];
  check_image(op.kName, x);
  check_rank(op.kName, "weight", weight, 4, "[O,KH,KW,C/g]");
  check_positive(op.kName, "stride", std::min(op.stride_h, op.stride_w));
  check_positive(op.kName, "groups", op.groups);
  check_padding(op.kName, op.padding);
  const std::int64_t channels = x[3], expected = weight[3] * op.groups;
  check(channels == expected, "{}: input has {} channels, weight expects {} (input {}, weight {}, groups {})",
        op.kName, channels, expected, text(x), text(weight), op.groups);
  check(weight[0] % op.groups == 0, "{}: {} output channels do not divide into {} groups (weight {})",
        op.kName, weight[0], op.groups, text(weight));
  check_bias(op.kName, inputs, weight[0]);
  return {x[0], slide(op.kName, x[1], weight[1], op.stride_h, op.padding).out,
          slide(op.kName, x[2], weight[2], op.stride_w, op.padding).out, weight[0]};
}

Shape infer(const Linear& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 3);
  const Shape &x = inputs[0], &weight = inputs[1];
  check_rank(op.kName, "input", x, 2, "[N,I]");
  check_rank(op.kName, "weight", weight, 2, "[O,I]");
  check(x[1] == weight[1], "{}: input has {} features, weight expects {} (input {}, weight {})", op.kName,
        x[1], weight[1], text(x), text(weight));
  check_bias(op.kName, inputs, weight[0]);
  return {x[0], weight[0]};
}

template <typename Pool>
Shape infer_pool(const Pool& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  const Shape& x = inputs[0];
  check_image(op.kName, x);
  check_positive(op.kName, "kernel", std::min(op.kernel_h, op.kernel_w));
  check_positive(op.kName, "stride", std::min(op.stride_h, op.stride_w));
  check_padding(op.kName, op.padding);
  // Else a window could see nothing but padding.
  check(op.padding.amount < std::min(op.kernel_h, op.kernel_w),
        "{}: padding {} must be smaller than the kernel {}x{}", op.kName, op.padding.amount, op.kernel_h,
        op.kernel_w);
  return {x[0], slide(op.kName, x[1], op.kernel_h, op.stride_h, op.padding).out,
          slide(op.kName, x[2], op.kernel_w, op.stride_w, op.padding).out, x[3]};
}

Shape infer(const MaxPool2d& op, Inputs inputs) { return infer_pool(op, inputs); }
Shape infer(const AvgPool2d& op, Inputs inputs) { return infer_pool(op, inputs); }

Shape infer(const GlobalAvgPool& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  check_image(op.kName, inputs[0]);
  return {inputs[0][0], inputs[0][3]};
}

Shape infer(const BatchNorm& op, Inputs inputs) {
  check_count(op.kName, inputs, 5, 5);
  check(inputs[0].rank() >= 1, "{}: input must be [...,C], given a scalar", op.kName);
  const Shape channels{inputs[0][-1]};
  constexpr std::string_view kNames[] = {"gamma", "beta", "moving mean", "moving variance"};
  for (std::size_t i = 0; i < 4; ++i)
    check(inputs[i + 1] == channels, "{}: {} must be {}, given {} (input {})", op.kName, kNames[i],
          text(channels), text(inputs[i + 1]), text(inputs[0]));
  check(op.epsilon >= 0 && std::isfinite(op.epsilon), "{}: epsilon must not be negative, given {}", op.kName,
        op.epsilon);
  check(op.momentum >= 0 && op.momentum <= 1, "{}: momentum must be in [0,1], given {}", op.kName,
        op.momentum);
  return inputs[0];
}

/// One input, the output has its shape.
Shape infer_same(std::string_view op, Inputs inputs) {
  check_count(op, inputs, 1, 1);
  return inputs[0];
}

Shape infer_last_axis(std::string_view op, Inputs inputs) {
  check_count(op, inputs, 1, 1);
  check(inputs[0].rank() >= 1, "{}: input must be [...,C], given a scalar", op);
  return inputs[0];
}

Shape infer(const Activate& op, Inputs inputs) { return infer_same(op.kName, inputs); }
Shape infer(const Softmax& op, Inputs inputs) { return infer_last_axis(op.kName, inputs); }
Shape infer(const LogSoftmax& op, Inputs inputs) { return infer_last_axis(op.kName, inputs); }

Shape infer(const Add& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  check_same_shape(op.kName, inputs);
  return inputs[0];
}

Shape infer(const Multiply& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  const Shape &a = inputs[0], &b = inputs[1];
  const bool gate = a.rank() == 4 && (b == Shape{a[0], a[3]} || b == Shape{a[0], 1, 1, a[3]});
  check(a == b || gate,
        "{}: the second input must have the shape of the first, or be [N,C] or [N,1,1,C] of it; given {} and "
        "{}",
        op.kName, text(a), text(b));
  return a;
}

Shape infer(const Concat& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, std::numeric_limits<std::size_t>::max());
  const Shape& first = inputs[0];
  check(first.rank() >= 2, "{}: inputs must be [N,...,C], given {}", op.kName, text(first));
  std::int64_t channels = 0;
  for (const Shape& shape : inputs) {
    check(shape.rank() == first.rank() && shape.with(-1, first[-1]) == first,
          "{}: inputs must agree in all but the last axis, given {}", op.kName, text(inputs));
    check(!__builtin_add_overflow(channels, shape[-1], &channels), "{}: the inputs are too large", op.kName);
  }
  return first.with(-1, channels);
}

Shape infer(const Reshape& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  check(inputs[0].rank() >= 1, "{}: input must be [N,...], given a scalar", op.kName);
  check(op.dims.size() < Shape::kMaxRank, "{}: {} dimensions besides the batch, at most {} are possible",
        op.kName, op.dims.size(), Shape::kMaxRank - 1);
  std::vector<std::int64_t> dims{inputs[0][0]};
  for (std::int64_t extent : op.dims) {
    check_positive(op.kName, "extent", extent);
    dims.push_back(extent);
  }
  const Shape result(dims);
  check(result.size() == inputs[0].size(), "{}: {} has {} elements, {} has {}", op.kName, text(inputs[0]),
        inputs[0].size(), text(result), result.size());
  return result;
}

Shape infer(const Pad& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  const Shape& x = inputs[0];
  check_image(op.kName, x);
  if (std::min({op.top, op.bottom, op.left, op.right}) < 0)
    fail("{}: amounts must not be negative, given {}", op.kName, to_string(Op(op)));
  return {x[0], x[1] + op.top + op.bottom, x[2] + op.left + op.right, x[3]};
}

Shape infer(const Quantize& op, Inputs inputs) { return infer_same(op.kName, inputs); }
Shape infer(const Dequantize& op, Inputs inputs) { return infer_same(op.kName, inputs); }

Shape infer(const Dropout& op, Inputs inputs) {
  check(op.rate >= 0 && op.rate < 1, "{}: rate must be in [0,1), given {}", op.kName, op.rate);
  return infer_same(op.kName, inputs);
}

Shape infer(const CrossEntropy& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  check_rank(op.kName, "logits", inputs[0], 2, "[N,C]");
  check(inputs[1] == Shape{inputs[0][0]}, "{}: labels must be [{}], given {} (logits {})", op.kName,
        inputs[0][0], text(inputs[1]), text(inputs[0]));
  check(op.label_smoothing >= 0 && op.label_smoothing < 1, "{}: label smoothing must be in [0,1), given {}",
        op.kName, op.label_smoothing);
  return {};
}

Shape infer(const KlDivergence& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  check_rank(op.kName, "logits", inputs[0], 2, "[N,C]");
  check_same_shape(op.kName, inputs);
  check(op.temperature > 0 && std::isfinite(op.temperature), "{}: temperature must be positive, given {}",
        op.kName, op.temperature);
  return {};
}

Shape infer(const MeanSquaredError& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  check_same_shape(op.kName, inputs);
  return {};
}

Shape infer(const Scale& op, Inputs inputs) { return infer_same(op.kName, inputs); }

Shape infer(const Sum& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  return {};
}

Shape infer(const ApplyMask& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  check_same_shape(op.kName, inputs);
  return inputs[0];
}

Shape infer(const ClusterLookup& op, Inputs inputs) {
  check_count(op.kName, inputs, 2, 2);
  const Shape &x = inputs[0], &centroids = inputs[1];
  check(centroids.rank() == 1 || (centroids.rank() == 2 && x.rank() >= 1 && centroids[0] == x[0]),
        "{}: centroids must be [K], or [C,K] for an input [C,...]; given {} for {}", op.kName,
        to_string(centroids), to_string(x));
  return x;
}

Shape infer(const FakeQuantizeWeight& op, Inputs inputs) {
  check_count(op.kName, inputs, 1, 1);
  check(inputs[0].rank() >= 1, "{}: the weight must be [O,...], given a scalar", op.kName);
  return inputs[0];
}

Shape infer(const FakeQuantize& op, Inputs inputs) {
  check(op.bits == 8 || op.bits == 16, "{}: bits must be 8 or 16, given {}", op.kName, op.bits);
  check(std::isfinite(op.min) && std::isfinite(op.max) && op.min <= 0 && op.max >= 0,
        "{}: the range must be finite and include 0, given {} to {}", op.kName, op.min, op.max);
  check_count(op.kName, inputs, 1, 2);
  check(inputs.size() < 2 || (inputs[0].rank() >= 1 && inputs[1] == Shape{inputs[0][-1]}),
        "{}: slack must be [C] for an input [...,C], given {} for {}", op.kName, text(inputs.back()),
        text(inputs[0]));
  return inputs[0];
}

}  // namespace

Window slide(std::string_view op, std::int64_t in, std::int64_t kernel, std::int64_t stride,
             Padding padding) {
  check(in >= 1 && in <= kMaxExtent && kernel >= 1 && kernel <= kMaxExtent && stride >= 1,
        "{}: extent {}, kernel {} and stride {} must be at least 1", op, in, kernel, stride);
  if (padding.kind == Padding::Kind::same) {
    const std::int64_t out = (in + stride - 1) / stride;
    const std::int64_t total = std::max<std::int64_t>((out - 1) * stride + kernel - in, 0);
    return {out, total / 2, total - total / 2};
  }
  const std::int64_t amount = padding.kind == Padding::Kind::symmetric ? padding.amount : 0;
  if (kernel > in + 2 * amount)
    fail("{}: a kernel of {} does not fit into an input of {} (padding {})", op, kernel, in,
         to_string(padding));
  return {(in + 2 * amount - kernel) / stride + 1, amount, amount};
}

Shape infer_shape(const Op& op, std::span<const Shape> inputs) {
  for (const Shape& shape : inputs) {
    const auto dims = shape.dims();
    check(std::ranges::all_of(dims, [](std::int64_t extent) { return extent >= 1 && extent <= kMaxExtent; }),
          "{}: extents of inputs must be in [1,{}], given {}", name(op), kMaxExtent, text(inputs));
  }
  return std::visit([&](const auto& some) { return infer(some, inputs); }, op);
}

}  // namespace lathe::graph
