#pragma once

#include <lathe/base/function_ref.h>
#include <lathe/base/random.h>
#include <lathe/core/tensor.h>
#include <lathe/graph/op.h>

#include <cstdint>
#include <span>
#include <vector>

/// Operations with gradients. Shapes and formulas stand at the op structs in graph/op.h; every function checks them first and
/// throws Error naming the operation, what it expects and what it was given. All are f32 unless said otherwise.
namespace lathe {

using graph::Activation;
using graph::Padding;

/// `bias` may be empty. Of the activations, relu and relu6 are fused into the forward and backward pass; the others run after.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op = {});
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Linear& op = {});

/// max_pool2d of conv2d's output with 2x2 windows, stride 2, without keeping that output: in training this spares the memory
/// its largest tensors.
Tensor conv2d_max_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, const graph::Conv2d& op = {});

Tensor max_pool2d(const Tensor& x, const graph::MaxPool2d& op = {});
Tensor avg_pool2d(const Tensor& x, const graph::AvgPool2d& op = {});
Tensor global_avg_pool(const Tensor& x);

/// With op.training, moving_mean and moving_variance are updated in place.
Tensor batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor moving_mean, Tensor moving_variance,
                  const graph::BatchNorm& op = {});

/// y * gate(global_avg_pool(y)) with y = silu(batch_norm(x)), x [N,H,W,C]: squeeze-and-excite behind a batch norm, in fewer
/// passes over memory and without keeping y. `gate` takes and gives [N,C]. op.activation must be silu.
Tensor gated_batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Tensor moving_mean,
                        Tensor moving_variance, const graph::BatchNorm& op,
                        FunctionRef<Tensor(const Tensor& mean)> gate);

Tensor activate(const Tensor& x, Activation activation);
Tensor relu(const Tensor& x);
Tensor relu6(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor silu(const Tensor& x);
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);

Tensor add(const Tensor& a, const Tensor& b, Activation activation = Activation::none);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor scale(const Tensor& x, float factor);
Tensor concat(std::span<const Tensor> inputs);
Tensor sum(const Tensor& x);

/// `dims` without the batch axis.
Tensor reshape(const Tensor& x, std::vector<std::int64_t> dims);
Tensor flatten(const Tensor& x);
Tensor pad(const Tensor& x, const graph::Pad& op);

/// Draws from `rng`, which moves on by x.size() words whatever the number of threads.
Tensor dropout(const Tensor& x, float rate, Rng& rng);

/// labels [N] i32. Throws Error on a label outside [0, C).
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, float label_smoothing = 0);
Tensor kl_divergence(const Tensor& logits, const Tensor& target_logits, float temperature = 1);
Tensor mean_squared_error(const Tensor& x, const Tensor& target);

/// What weights pass through while they are compressed in training.
Tensor apply_mask(const Tensor& x, const Tensor& mask);
Tensor cluster_lookup(const Tensor& x, const Tensor& centroids, const graph::ClusterLookup& op = {});
Tensor fake_quantize_weight(const Tensor& x, const graph::FakeQuantizeWeight& op = {});

/// What activations pass through in quantization-aware training. Unless null, `seen` is widened to all elements of x, in the
/// same pass.
struct Extremes {
  float min = 0;
  float max = 0;
};
Tensor fake_quantize(const Tensor& x, const graph::FakeQuantize& op, Extremes* seen = nullptr, const Tensor& slack = {});

/// Runs one op of the vocabulary on its inputs in the order that graph/op.h lists: how a Graph is evaluated with the training
/// kernels. Throws Error on quantize and dequantize (integers belong to the runtime) and on dropout (it needs an Rng).
Tensor apply(const graph::Op& op, std::span<const Tensor> inputs);

}  // namespace lathe
