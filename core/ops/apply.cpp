#include <lathe/core/ops.h>

#include <vector>

namespace lathe {
namespace {

using Inputs = std::span<const Tensor>;

/// The last of `count` inputs when it is there.
Tensor optional(Inputs inputs, std::size_t index) { return index < inputs.size() ? inputs[index] : Tensor(); }

Tensor run(const graph::Conv2d& op, Inputs in) { return conv2d(in[0], in[1], optional(in, 2), op); }
Tensor run(const graph::Linear& op, Inputs in) { return linear(in[0], in[1], optional(in, 2), op); }
Tensor run(const graph::MaxPool2d& op, Inputs in) { return max_pool2d(in[0], op); }
Tensor run(const graph::AvgPool2d& op, Inputs in) { return avg_pool2d(in[0], op); }
Tensor run(const graph::GlobalAvgPool&, Inputs in) { return global_avg_pool(in[0]); }
Tensor run(const graph::BatchNorm& op, Inputs in) {
  return batch_norm(in[0], in[1], in[2], in[3], in[4], op);
}
Tensor run(const graph::Activate& op, Inputs in) { return activate(in[0], op.activation); }
Tensor run(const graph::Softmax&, Inputs in) { return softmax(in[0]); }
Tensor run(const graph::LogSoftmax&, Inputs in) { return log_softmax(in[0]); }
Tensor run(const graph::Add& op, Inputs in) { return add(in[0], in[1], op.activation); }
Tensor run(const graph::Multiply&, Inputs in) { return multiply(in[0], in[1]); }
Tensor run(const graph::Concat&, Inputs in) { return concat(in); }
Tensor run(const graph::Reshape& op, Inputs in) { return reshape(in[0], op.dims); }
Tensor run(const graph::Pad& op, Inputs in) { return pad(in[0], op); }
Tensor run(const graph::CrossEntropy& op, Inputs in) {
  return cross_entropy(in[0], in[1], op.label_smoothing);
}
Tensor run(const graph::KlDivergence& op, Inputs in) { return kl_divergence(in[0], in[1], op.temperature); }
Tensor run(const graph::MeanSquaredError&, Inputs in) { return mean_squared_error(in[0], in[1]); }
Tensor run(const graph::Scale& op, Inputs in) { return scale(in[0], op.factor); }
Tensor run(const graph::Sum&, Inputs in) { return sum(in[0]); }
Tensor run(const graph::ApplyMask&, Inputs in) { return apply_mask(in[0], in[1]); }
Tensor run(const graph::ClusterLookup& op, Inputs in) { return cluster_lookup(in[0], in[1], op); }
Tensor run(const graph::FakeQuantizeWeight& op, Inputs in) { return fake_quantize_weight(in[0], op); }
Tensor run(const graph::FakeQuantize& op, Inputs in) { return fake_quantize(in[0], op, nullptr, optional(in, 1)); }

Tensor run(const graph::Quantize& op, Inputs) {
  fail("{}: has no training kernel, integers belong to the runtime", op.kName);
}
Tensor run(const graph::Dequantize& op, Inputs) {
  fail("{}: has no training kernel, integers belong to the runtime", op.kName);
}
Tensor run(const graph::Dropout& op, Inputs) {
  fail("{}: needs random numbers, call lathe::dropout", op.kName);
}

}  // namespace

Tensor apply(const graph::Op& op, std::span<const Tensor> inputs) {
  std::vector<Shape> shapes;
  for (const Tensor& input : inputs) {
    check(static_cast<bool>(input), "{}: input {} must not be empty", graph::name(op), shapes.size());
    shapes.push_back(input.shape());
  }
  graph::infer_shape(op, shapes);  // as many inputs as the op takes, from here on
  return std::visit([&](const auto& some) { return run(some, inputs); }, op);
}

}  // namespace lathe
